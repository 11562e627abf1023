"""A folder-per-class tree of images: its classes, its files, and a fingerprint that shows changes."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crackgate.images.rejection import too_many_bytes


@dataclass(frozen=True)
class FoundFile:
    """One file below the data folder.

    Attributes:
        path: Path below it, with surrogates for bytes that are no UTF-8. A trailing "/" marks an unlistable folder,
            which fails on reading and is reported like a bad file.
        class_name: Name of its top folder, or "" beside the class folders.
    """

    path: str
    class_name: str


def find_classes(folder: Path) -> list[str]:
    """Sorted names of the top-level folders that hold a file, hidden ones excepted."""
    return sorted({file.class_name for file in find_files(folder) if file.class_name and file.class_name[0] != "."})


def find_files(folder: Path) -> Iterator[FoundFile]:
    """Every file below `folder`, in sorted order, links followed except for loops.

    Raises OSError if `folder` cannot be listed.
    """
    # Folders to enter, the next one last, each with its parents.
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while waiting:
        path, holders = waiting.pop()
        try:
            status = os.stat(os.path.join(folder, path))
            with os.scandir(os.path.join(folder, path)) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            if not path:
                raise
            yield _found(path)
            continue
        identity = (status.st_dev, status.st_ino)
        if identity in holders:
            continue
        folders = {entry.name for entry in entries if _is_folder(entry)}
        yield from (_found(path + entry.name) for entry in entries if entry.name not in folders)
        waiting.extend((path + name + os.sep, holders | {identity}) for name in sorted(folders, reverse=True))


def read_regular_file(path: str | bytes, max_bytes: int) -> bytes:
    """Content of a file of `max_bytes` at most; one that grows meanwhile is cut one byte behind them.

    Raises RejectedImageError for a larger file, by its size and unread. Raises OSError for unreadable files, and for
    pipes, devices and folders, which might never end.
    """
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        # `find_files` could not list it: this raises why.
        os.listdir(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    if status.st_size > max_bytes:
        raise too_many_bytes(status.st_size, max_bytes)
    with open(path, "rb") as file:
        # `read(max_bytes)` would take that much memory for every file, however small.
        read = file.read(status.st_size + 1)
        return read if len(read) <= status.st_size else read + file.read(max_bytes + 1 - len(read))


def fingerprint(folder: Path) -> str:
    """Hex digest of every file's path, size, modification time and change time: the cache key of the data.

    The change time reveals two files of one size and age that swapped names.
    """
    digest = hashlib.sha256()
    for file in find_files(folder):
        digest.update(os.fsencode(file.path) + b"\0")
        try:
            status = os.stat(os.path.join(folder, file.path))
            digest.update(b"%d %d %d\0" % (status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        except OSError as error:
            digest.update(b"unreadable %d\0" % (error.errno or 0))
    return digest.hexdigest()


def _found(path: str) -> FoundFile:
    top, separator, _ = path.partition(os.sep)
    return FoundFile(path=path, class_name=top if separator else "")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, for example
        return False


def readable_path(path: bytes) -> str:
    """The path in UTF-8, with escapes for other bytes."""
    return path.decode("utf-8", "backslashreplace")
