"""A folder-per-class tree of images: its classes, its files, and a fingerprint that shows changes."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FoundFile:
    """One file below the data folder.

    Attributes:
        path: Path below the data folder, with surrogates for bytes that are no UTF-8. One that ends in "/" is a folder
            that could not be listed: reading it fails, so that it is reported like a bad file.
        class_name: Name of the top folder that holds it, or "" when it lies beside the class folders.
    """

    path: str
    class_name: str


def find_classes(folder: Path) -> list[str]:
    """Names of the top-level folders that hold at least one file, sorted; hidden folders are no classes."""
    return sorted({file.class_name for file in find_files(folder) if file.class_name and file.class_name[0] != "."})


def find_files(folder: Path) -> Iterator[FoundFile]:
    """Every file below `folder`, folder by folder in sorted order; raises OSError where it cannot be listed.

    Links are followed, unless they lead back to a folder that holds them.
    """
    # Folders to enter, the next one last, each with the folders that hold it.
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
    """Content of a file, cut after one byte more than `max_bytes`.

    Raises OSError for what cannot be read, and for pipes, devices and folders, which might never end.
    """
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        # `find_files` could not list it: this raises why.
        os.listdir(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    with open(path, "rb") as file:
        # `read(max_bytes)` would take that much memory for every file, however small.
        read = file.read(min(status.st_size, max_bytes) + 1)
        return read if len(read) <= status.st_size else read + file.read(max_bytes + 1 - len(read))


def fingerprint(folder: Path) -> str:
    """Hex digest of every file's path, size and times of modification and change: the cache key of the data.

    It reads no contents, since it precedes every run. The time of change shows when two files of one size and age
    swapped names.
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
    """The path in UTF-8, with escapes for all other bytes."""
    return path.decode("utf-8", "backslashreplace")
