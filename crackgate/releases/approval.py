"""Approval: a person puts a staged version into production, or rejects it."""

from dataclasses import dataclass
from pathlib import Path

from crackgate.releases.records import State
from crackgate.releases.signatures import PublicKey
from crackgate.releases.versions import Version, list_versions
from crackgate.releases.withdrawal import NoSuchVersionError, changing_state, check_there, move, put_into_production


class NotComparedError(Exception):
    """Another version is in production than the one that a staged version was compared with."""


@dataclass(frozen=True)
class Approval:
    """The outcome of an approval: versions by number, the oldest withdrawn first.

    `approved` is False for a version that was in production already.
    """

    in_production: int
    withdrawn: list[int]
    approved: bool


def approve(
    serving_dir: Path, number: int, who: str, why: str, public_key: PublicKey | None = None, force: bool = False
) -> Approval:
    """Puts a staged version into production, verified as for a rollback; see `roll_back` for arguments and errors.

    The version in production must be the one that it was compared with. `force` does without, and withdraws newer
    versions. The version in production changes nothing.

    Raises:
        NotComparedError: Another version is in production; nothing was changed.
    """

    def find(versions: list[Version]) -> Version:
        return _find_approvable(versions, number, force)

    before, withdrawn = put_into_production(serving_dir, find, who, why, public_key)
    return Approval(number, withdrawn, approved=before.state == State.STAGED)


def reject(serving_dir: Path, number: int, who: str, why: str) -> bool:
    """Withdraws a staged version; False if it was withdrawn already.

    Its model is not staged again. Raises NoSuchVersionError for a version that is not staged, ServingDirectoryError and
    ManifestError as `roll_back`.
    """
    check_there(serving_dir)
    with changing_state(serving_dir) as change:
        versions = list_versions(serving_dir)
        version = _find(versions, number)
        if version.state == State.RELEASED:
            raise NoSuchVersionError(
                f"version {number} is released, not staged: 'crackgate rollback' withdraws it; {_say_staged(versions)}"
            )
        if version.state == State.WITHDRAWN:
            return False
        move(change, version, State.WITHDRAWN, who, why)
        return True


def _find_approvable(versions: list[Version], number: int, force: bool) -> Version:
    version = _find(versions, number)
    released = [each.number for each in versions if each.state == State.RELEASED]
    current = max(released, default=0)
    if version.state == State.WITHDRAWN:
        raise NoSuchVersionError(
            f"version {number} was withdrawn: 'crackgate rollback --to {number}' reinstates it; {_say_staged(versions)}"
        )
    if version.state == State.RELEASED and number != current:
        raise NoSuchVersionError(
            f"version {number} was in production before version {current}, which is now: "
            f"'crackgate rollback --to {number}' goes back to it; {_say_staged(versions)}"
        )
    if version.state == State.STAGED and not force:
        _check_compared(version, current, [each for each in released if each > number])
    return version


def _check_compared(version: Version, current: int, newer: list[int]) -> None:
    against = version.manifest.staged_against if version.manifest else None
    if against == current:
        return
    compared = {None: "an unknown version", 0: "none, as none was in production"}.get(against, f"version {against}")
    now = f"version {current}" if current else "none"
    withdraws = f", which withdraws what is newer ({', '.join(map(str, newer))})" if newer else ""
    raise NotComparedError(
        f"version {version.number} was compared with {compared}, and {now} is in production now. Run the pipeline "
        "again, which compares the model with that and stages it anew; or approve it as it is by --force"
        f"{withdraws}. Nothing was changed"
    )


def _find(versions: list[Version], number: int) -> Version:
    for version in versions:
        if version.number == number and (version.manifest or version.state == State.WITHDRAWN):
            return version
    raise NoSuchVersionError(f"there is no complete version {number}; {_say_staged(versions)}")


def _say_staged(versions: list[Version]) -> str:
    staged = [str(version.number) for version in versions if version.state == State.STAGED]
    return f"staged are: {', '.join(staged) or 'none'}"
