"""Retention: old versions are removed unless a reader holds them."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from crackgate.contracts.model_files import MANIFEST_FILE
from crackgate.file_lock import lock_file
from crackgate.regular_file import open_regular
from crackgate.releases.change import changing
from crackgate.releases.records import State
from crackgate.releases.versions import list_versions


@contextmanager
def held(folder: Path) -> Iterator[Callable[[], Path]]:
    """Keeps retention (but no rollback) from removing a version, by a shared lock on the manifest.

    Yields what says where the version lies by now: a rollback moves it.

    Raises FileNotFoundError if the version was just removed or withdrawn: ask `production_version` again.
    """
    file = folder / MANIFEST_FILE
    with open_regular(file) as manifest:
        lock_file(manifest, fcntl.LOCK_SH)
        if not os.path.samestat(os.fstat(manifest.fileno()), file.stat()):
            raise FileNotFoundError(f"{str(folder)!r} has just been replaced")
        yield lambda: _place(manifest.fileno(), file).parent


def remove_old_versions(serving_dir: Path, keep: int) -> list[int]:
    """Removes released versions except for the newest `keep` (0: all stay) and those `held`; returns their numbers.

    Withdrawn versions stay and do not count. Raises ServingDirectoryError if a removal fails, ManifestError for an
    unreadable record of a withdrawal.
    """
    if keep == 0:
        return []
    removed = []
    with changing(serving_dir, "older versions than that may still be there") as change:
        released = [version for version in list_versions(serving_dir) if version.state == State.RELEASED]
        for version in released[:-keep]:
            with (version.folder / MANIFEST_FILE).open("rb+") as manifest:
                try:
                    lock_file(manifest, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                change.remove(version.folder)
            removed.append(version.number)
    return removed


def _place(descriptor: int, opened: Path) -> Path:
    try:
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    # Only Linux says.
    except OSError:
        return opened
