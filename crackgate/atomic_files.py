"""Files and folders that appear under their names whole and on the disk, or never.

A writer works on `.<name>.<token>.partial` beside its target. The next writer removes a killed one's.
"""

import errno
import fcntl
import glob
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# A younger file may be another writer's that has not locked it yet, or is on a machine whose locks do not reach here.
_SECONDS_TO_LOCK = 10
_TOKEN_BYTES = 4


def write_text(target: Path, text: str) -> None:
    """Writes a file in UTF-8; see `whole_file`."""
    write_bytes(target, text.encode())


def write_bytes(target: Path, content: bytes) -> None:
    """Writes a file; see `whole_file`."""
    with whole_file(target) as partial:
        partial.write_bytes(content)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Gives the path of an empty file, which replaces `target` at the end; an exception leaves `target` as it was.

    A link stays, and the file that it points to is replaced. A device or a FIFO is written to as it is, and so is a
    file that is open already, such as `/dev/stdout`: a shell may be appending to it.

    Raises:
        OSError: The folder of `target` is not there or cannot be written to.
    """
    if target.exists() and not target.is_file() and not target.is_dir():
        yield target
        return
    if (descriptor := _descriptor(target)) is not None:
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder, target.name)
            written.touch()
            yield written
            with written.open("rb") as source, os.fdopen(os.dup(descriptor), "wb") as stream:
                shutil.copyfileobj(source, stream)
        return
    target = target.resolve()
    with _partial(target, Path.touch) as partial:
        yield partial
        _sync(partial)
        partial.replace(target)
    sync_folder(target.parent)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Gives the path of an empty folder, which takes the name of `target` at the end; makes the folders above it.

    Raises:
        OSError: `target` is a file or holds something, or its parent cannot be written to.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _partial(target, Path.mkdir) as partial:
        yield partial
        sync_tree(partial)
        partial.rename(target)
    sync_folder(target.parent)


def is_partial_of(path: Path, target: Path) -> bool:
    """Whether a writer of `target` works, or worked, on `path`."""
    return path.parent == target.parent and path.match(_partials(target))


def sync_tree(top: Path) -> None:
    """Waits until a folder is on the disk with everything in it."""
    for parent, _, files in os.walk(top, topdown=False):
        for name in files:
            _sync(Path(parent, name))
        sync_folder(Path(parent))


def sync_folder(folder: Path) -> None:
    """Waits until a folder's entries are on the disk."""
    try:
        _sync(folder)
    except OSError as error:
        # Some network file systems have no such thing for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF):
            raise


def _descriptor(target: Path) -> int | None:
    """The number of the open file that a path names."""
    found = re.fullmatch(r"/dev/(?:std(out|err)|fd/(\d+))|/proc/self/fd/(\d+)", str(target))
    if found is None:
        return None
    return {"out": 1, "err": 2}[found[1]] if found[1] else int(found[2] or found[3])


@contextmanager
def _partial(target: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    _remove_leftovers(target)
    path = target.with_name(f".{target.name}.{secrets.token_hex(_TOKEN_BYTES)}.partial")
    make(path)
    try:
        with _opened(path) as descriptor:
            # Some network file systems have no locks.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield path
    finally:
        _remove(path)


def _partials(target: Path) -> str:
    """Pattern of the names that its writers use."""
    return f".{glob.escape(target.name)}.{'[0-9a-f]' * 2 * _TOKEN_BYTES}.partial"


def _remove_leftovers(target: Path) -> None:
    for path in target.parent.glob(_partials(target)):
        # It is locked by a writer that lives, or gone since.
        with suppress(OSError), _opened(path) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - os.fstat(descriptor).st_mtime > _SECONDS_TO_LOCK:
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    with _opened(path) as descriptor:
        os.fsync(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Opens a file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
