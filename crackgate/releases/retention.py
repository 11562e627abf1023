"""Retention: old versions are removed, but for those that a reader holds."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crackgate.contracts.model_files import MANIFEST_FILE
from crackgate.releases.change import changing
from crackgate.releases.records import State
from crackgate.releases.versions import list_versions


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keeps retention from removing a version while a reader loads it or answers from it.

    It takes a shared lock on the manifest, which needs no right to write and ends with the process. A rollback does
    not wait for it.

    Raises:
        FileNotFoundError: The version has just been removed or withdrawn: ask `production_version` again.
    """
    file = folder / MANIFEST_FILE
    with file.open("rb") as manifest:
        fcntl.flock(manifest, fcntl.LOCK_SH)
        if not os.path.samestat(os.fstat(manifest.fileno()), file.stat()):
            raise FileNotFoundError(f"{str(folder)!r} has just been replaced")
        yield


def remove_old_versions(serving_dir: Path, keep: int) -> list[int]:
    """Removes all released versions but the newest `keep` ones (0: all stay) and those that are `held`.

    Withdrawn versions do not count, and stay. Returns the numbers of the versions that were removed.

    Raises:
        ServingDirectoryError: One could not be removed.
        ManifestError: The record of a withdrawal cannot be read.
    """
    if keep == 0:
        return []
    removed = []
    with changing(serving_dir, "older versions than that may still be there") as change:
        released = [version for version in list_versions(serving_dir) if version.state == State.RELEASED]
        for version in released[:-keep]:
            with (version.folder / MANIFEST_FILE).open("rb+") as manifest:
                try:
                    fcntl.flock(manifest, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                change.remove(version.folder)
            removed.append(version.number)
    return removed
