"""Rollback: newer versions are withdrawn, and can be reinstated."""

import getpass
import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from crackgate.releases.change import Change, ServingDirectoryError, changing
from crackgate.releases.records import State, add_event, folder_in
from crackgate.releases.signatures import PublicKey
from crackgate.releases.verification import verify
from crackgate.releases.versions import Version, list_versions


class NoSuchVersionError(Exception):
    """No version of that number can be put into production, or rejected; the message names those that can."""


class AlteredVersionError(Exception):
    """The version to be put into production differs from its release; nothing was changed."""


@dataclass(frozen=True)
class Rollback:
    """The outcome of a rollback: versions by number, the oldest withdrawn first.

    `reinstated` says whether `in_production` had been withdrawn before.
    """

    in_production: int
    withdrawn: list[int]
    reinstated: bool


def roll_back(serving_dir: Path, to: int | None, who: str, why: str, public_key: PublicKey | None = None) -> Rollback:
    """Puts an earlier version into production, or reinstates a withdrawn one; None means the previous version.

    Newer versions move to `withdrawn/`, the newest last: no version in between is ever in production. The version in
    production changes nothing. `who` and `why` go into the record. `public_key` must have signed it; see `verify`.

    Raises:
        NoSuchVersionError: There is no such version.
        AlteredVersionError: It differs from its release, or lacks the signature that is required.
        ServingDirectoryError: The directory cannot be changed.
        ManifestError: The record of a withdrawal is unreadable.
    """
    before, withdrawn = put_into_production(serving_dir, lambda all_: _find_target(all_, to), who, why, public_key)
    return Rollback(before.number, withdrawn, reinstated=before.state == State.WITHDRAWN)


def put_into_production(
    serving_dir: Path, find: Callable[[list[Version]], Version], who: str, why: str, public_key: PublicKey | None
) -> tuple[Version, list[int]]:
    """Puts a version that is as it was released into production, and withdraws newer ones; see `roll_back`.

    `find` chooses among all versions, and is asked again after the verification. Returns the version as it was before,
    and the numbers of those withdrawn.
    """
    check_there(serving_dir)
    while True:
        # A long verification keeps no push waiting.
        with changing_state(serving_dir):
            verified = find(list_versions(serving_dir))
        problems = verify(verified.folder, public_key, verified.number).problems
        if problems:
            raise AlteredVersionError(
                f"version {verified.number} is not as it was released: {'; '.join(problems)}. Nothing was changed; "
                "'crackgate versions' lists the other ones"
            )
        with changing_state(serving_dir) as change:
            versions = list_versions(serving_dir)
            target = find(versions)
            if target != verified:
                continue
            if target.state != State.RELEASED:
                move(change, target, State.RELEASED, who, why)
            newer = [each for each in versions if each.state == State.RELEASED and each.number > target.number]
            for version in newer:
                move(change, version, State.WITHDRAWN, who, why)
            return target, [version.number for version in newer]


def check_there(serving_dir: Path) -> None:
    """Raises NoSuchVersionError without a serving directory, which a change would make."""
    if not serving_dir.is_dir():
        raise NoSuchVersionError(f"there is no serving directory {str(serving_dir)!r}: nothing was ever released there")


def changing_state(serving_dir: Path) -> AbstractContextManager[Change]:
    """Keeps other changes out while versions change their states."""
    return changing(serving_dir, "'crackgate versions' says which versions were moved before that")


def move(change: Change, version: Version, state: State, who: str, why: str) -> None:
    """Moves a complete version to another state, one rename where the file system can."""
    assert version.manifest is not None, "only complete versions change their states"
    target = folder_in(change.serving_dir, version.number, state)
    if version.folder != target and os.path.lexists(target):
        raise ServingDirectoryError(
            f"version {version.number} cannot be moved to {str(target)!r}, which is there already: remove it, and try "
            "again; 'crackgate versions' says how the versions stand"
        )
    # The record precedes the move, so that every version has a reason to be where it is.
    change.announce_move(version.number)
    add_event(change.serving_dir, version.manifest, state, who, why)
    if version.folder != target:
        change.move(version.folder, target)


def describe_user() -> str:
    """The user of this process, as user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # A container's user may have no name.
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _find_target(versions: list[Version], to: int | None) -> Version:
    candidates = {each.number: each for each in versions if each.manifest is not None}
    released = [number for number, version in candidates.items() if version.state == State.RELEASED]
    known = ", ".join(f"{number} ({version.state})" for number, version in candidates.items()) or "none"
    if to is None:
        if len(released) < 2:
            raise NoSuchVersionError(
                f"there is no earlier version to go back to; the versions are: {known}. Withdrawn ones come back with "
                "--to; to have none in production, stop the service"
            )
        return candidates[released[-2]]
    if to not in candidates:
        raise NoSuchVersionError(f"there is no complete version {to}; the versions are: {known}")
    if candidates[to].state == State.STAGED:
        raise NoSuchVersionError(
            f"version {to} is staged and was never in production: 'crackgate approve {to}' puts it there"
        )
    return candidates[to]
