"""Rollback: newer versions are withdrawn, and can be reinstated."""

import getpass
import os
import socket
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from crackgate.releases.change import Change, changing
from crackgate.releases.manifest import Manifest
from crackgate.releases.records import WITHDRAWN_FOLDER, State, add_event
from crackgate.releases.signatures import PublicKey
from crackgate.releases.verification import verify
from crackgate.releases.versions import Version, list_versions


class NoSuchVersionError(Exception):
    """The version to go back to does not exist; the message names those that do."""


class AlteredVersionError(Exception):
    """The version to go back to differs from its release; nothing was changed."""


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
    if not serving_dir.is_dir():
        raise NoSuchVersionError(f"there is no serving directory {str(serving_dir)!r}: nothing was ever released there")
    while True:
        # A long verification keeps no push waiting.
        with _changing(serving_dir):
            verified = _find_target(list_versions(serving_dir), to)
        problems = verify(verified.folder, public_key, verified.number).problems
        if problems:
            raise AlteredVersionError(
                f"version {verified.number} is not as it was released: {'; '.join(problems)}. Nothing was changed; go "
                "back to another one with --to"
            )
        with _changing(serving_dir) as change:
            versions = list_versions(serving_dir)
            target = _find_target(versions, to)
            if target == verified:
                return _put_into_production(change, versions, target, who, why)


def _changing(serving_dir: Path) -> AbstractContextManager[Change]:
    return changing(serving_dir, "'crackgate versions' says which versions were withdrawn before that")


def _put_into_production(change: Change, versions: list[Version], target: Version, who: str, why: str) -> Rollback:
    reinstated = target.state == State.WITHDRAWN
    if reinstated:
        change.move(target.folder, change.serving_dir / str(target.number))
        add_event(change.serving_dir, _manifest(target), State.RELEASED, who, why)
    newer = [each for each in versions if each.state == State.RELEASED and each.number > target.number]
    for version in newer:
        _withdraw(change, version, who, why)
    return Rollback(target.number, [version.number for version in newer], reinstated)


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
    return candidates[to]


def _withdraw(change: Change, version: Version, who: str, why: str) -> None:
    # The record precedes the move, so that every withdrawn version has a reason.
    change.announce_move(version.number)
    add_event(change.serving_dir, _manifest(version), State.WITHDRAWN, who, why)
    change.move(version.folder, change.serving_dir / WITHDRAWN_FOLDER / str(version.number))


def _manifest(version: Version) -> Manifest:
    assert version.manifest is not None, "only complete versions are withdrawn and reinstated"
    return version.manifest
