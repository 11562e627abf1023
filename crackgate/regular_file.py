"""Regular files alone: a symbolic link leads elsewhere, a FIFO or a device may never end."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def other_kind(status: os.stat_result) -> str:
    """Says what it is instead of a regular file; "" for a regular file."""
    return next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "")


def open_regular(file: Path, follow_links: bool = False) -> BufferedReader:
    """Opens a regular file, at once; raises OSError for anything else, and for a symbolic link unless it follows it."""
    _check(file, file.stat(follow_symlinks=follow_links))
    # Another kind may have taken its place since: a FIFO must not block, nor a link be followed.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | (0 if follow_links else os.O_NOFOLLOW))
    try:
        _check(file, os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check(file: Path, status: os.stat_result) -> None:
    if kind := other_kind(status):
        raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(file))
