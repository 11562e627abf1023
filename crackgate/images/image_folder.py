"""A tree of image files: its folders, its files, and a fingerprint that shows changes."""

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from crackgate.images.rejection import too_many_bytes
from crackgate.storage.location import Location, is_url
from crackgate.storage.object_store import list_objects, read_object


@dataclass
class ListedFolder:
    """One folder at or below the data folder.

    Attributes:
        path: Below the data folder, "" or with a "/" at its end, with surrogates for bytes that are no UTF-8.
        files: Sorted names of its files.
        folders: Sorted names of its folders; the walk does not enter one that its caller removes.
        readable: False if it cannot be listed; it is empty then.
        marks: Of objects in a store, by name: see `StoredObject`. Nothing for files.
    """

    path: str
    files: list[str]
    folders: list[str]
    readable: bool = True
    marks: Mapping[str, str] = field(default_factory=dict)


def walk_folders(folder: Location) -> Iterator[ListedFolder]:
    """Every folder at or below `folder`, in sorted order; slashes in keys make folders of a store's objects.

    Links are followed except for loops. A link below another one is followed to no folder that was entered before, or
    links between neighbours would multiply.

    Raises:
        OSError: `folder` cannot be listed.
        StorageError: The store cannot be used.
    """
    return _walk_objects(str(folder)) if is_url(folder) else _walk_paths(folder)


def _walk_objects(url: str) -> Iterator[ListedFolder]:
    """The folders of a store's objects, from one listing of all of them."""
    marks: dict[tuple[str, ...], dict[str, str]] = {}
    inner: dict[tuple[str, ...], set[str]] = {}
    for found in list_objects(url):
        if not found.path:
            raise NotADirectoryError(errno.ENOTDIR, "it is one object: give the prefix of all images", url)
        *folders, name = found.path.split("/")
        marks.setdefault(tuple(folders), {})[name] = found.mark
        for depth, folder in enumerate(folders):
            inner.setdefault(tuple(folders[:depth]), set()).add(folder)
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        above = waiting.pop()
        of_files = marks.get(above, {})
        path = "".join(f"{name}/" for name in above)
        listed = ListedFolder(path, sorted(of_files), sorted(inner.get(above, ())), marks=of_files)
        yield listed
        waiting.extend((*above, name) for name in reversed(listed.folders))


def _walk_paths(folder: Location) -> Iterator[ListedFolder]:
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


def find_files(folder: Location) -> Iterator[str]:
    """Paths of all files below `folder`, relative to it, in sorted order.

    A trailing "/" marks an unlistable folder, which fails on reading and is reported like a bad file. Raises OSError if
    `folder` cannot be listed.
    """
    for listed in walk_folders(folder):
        yield from (listed.path + name for name in listed.files)
        if not listed.readable:
            yield listed.path


def read_source(source: Location, max_bytes: int) -> bytes:
    """Content of a file, or of an object in a store, of `max_bytes` at most; any number of threads may call it.

    Raises:
        RejectedImageError: It is larger.
        OSError: This file or object cannot be read.
        StorageError: The store cannot be used any longer.
    """
    return read_object(str(source), max_bytes) if is_url(source) else read_regular_file(str(source), max_bytes)


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


def fingerprint(folder: Location, paths: Iterable[str], marks: Mapping[str, str]) -> str:
    """Hex digest of the path, size, modification time and readability of files below `folder`.

    Files that share size and time count by their content, too: they may have swapped names. Other rights, links and the
    place of the folder do not count. An object in a store counts by its path and its mark, of `marks`.
    """
    digest = hashlib.sha256()
    if is_url(folder):
        for path in paths:
            digest.update(os.fsencode(path) + b"\0" + marks[path].encode() + b"\0")
        return digest.hexdigest()
    names = list(paths)
    states = [_state(os.path.join(folder, name)) for name in names]
    counts = Counter(states)
    for name, state in zip(names, states, strict=True):
        content = _content_digest(os.path.join(folder, name)) if counts[state] > 1 else b""
        digest.update(os.fsencode(name) + b"\0" + state + content + b"\0")
    return digest.hexdigest()


def _state(path: str) -> bytes:
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
