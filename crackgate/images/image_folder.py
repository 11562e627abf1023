"""A tree of image files: its folders, its files, and a fingerprint that shows changes."""

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from crackgate.images.rejection import too_many_bytes


@dataclass
class ListedFolder:
    """One folder at or below the data folder.

    Attributes:
        path: Below the data folder, "" or with a "/" at its end, with surrogates for bytes that are no UTF-8.
        files: Sorted names of its files.
        folders: Sorted names of its folders; the walk does not enter one that its caller removes.
        readable: False if it cannot be listed; it is empty then.
    """

    path: str
    files: list[str]
    folders: list[str]
    readable: bool = True


def walk_folders(folder: Path) -> Iterator[ListedFolder]:
    """Every folder at or below `folder`, in sorted order.

    Links are followed except for loops. A link below another one is followed to no folder that was entered before, or
    links between neighbours would multiply. Raises OSError if `folder` cannot be listed.
    """
    # Folders to enter, the next one last, each with its parents and the number of links on its way.
    waiting: list[tuple[str, frozenset[tuple[int, int]], int]] = [("", frozenset(), 0)]
    entered: set[tuple[int, int]] = set()
    while waiting:
        path, holders, links = waiting.pop()
        try:
            status = os.stat(os.path.join(folder, path))
            with os.scandir(os.path.join(folder, path)) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            if not path:
                raise
            yield ListedFolder(path, [], [], readable=False)
            continue
        identity = (status.st_dev, status.st_ino)
        if identity in holders or (links > 1 and identity in entered):
            continue
        entered.add(identity)
        folders = [entry.name for entry in entries if _is_folder(entry)]
        among_folders = set(folders)
        listed = ListedFolder(path, [entry.name for entry in entries if entry.name not in among_folders], folders)
        yield listed
        linked = {entry.name for entry in entries if entry.is_symlink()}
        waiting.extend(
            (path + name + os.sep, holders | {identity}, links + (name in linked)) for name in reversed(listed.folders)
        )


def find_files(folder: Path) -> Iterator[str]:
    """Paths of all files below `folder`, relative to it, in sorted order.

    A trailing "/" marks an unlistable folder, which fails on reading and is reported like a bad file. Raises OSError if
    `folder` cannot be listed.
    """
    for listed in walk_folders(folder):
        yield from (listed.path + name for name in listed.files)
        if not listed.readable:
            yield listed.path


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


def fingerprint(folder: Path, paths: Iterable[str]) -> str:
    """Hex digest of the path, size, modification time and readability of files below `folder`.

    Files that share size and time count by their content, too: they may have swapped names. Other rights, links and the
    place of the folder do not count.
    """
    names = list(paths)
    marks = [_mark(os.path.join(folder, name)) for name in names]
    counts = Counter(marks)
    digest = hashlib.sha256()
    for name, mark in zip(names, marks, strict=True):
        content = _content_digest(os.path.join(folder, name)) if counts[mark] > 1 else b""
        digest.update(os.fsencode(name) + b"\0" + mark + content + b"\0")
    return digest.hexdigest()


def _mark(path: str) -> bytes:
    try:
        status = os.stat(path)
    except OSError as error:
        return b"unreadable %d" % (error.errno or 0)
    # A file whose rights were mended must be read anew.
    return b"%d %d %d" % (status.st_size, status.st_mtime_ns, os.access(path, os.R_OK))


def _content_digest(path: str) -> bytes:
    """Digest of a regular file; empty for what cannot be read, or might never end."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return b""
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, for example
        return False


def readable_path(path: bytes) -> str:
    """The path in UTF-8, with escapes for other bytes."""
    return path.decode("utf-8", "backslashreplace")
