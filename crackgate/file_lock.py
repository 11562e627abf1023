"""Locks of files, as far as the file system has any."""

import errno
import fcntl
from typing import IO, Any

# Some network file systems, and FUSE, answer these.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


def lock_file(file: IO[Any] | int, operation: int) -> bool:
    """Locks an open file by `fcntl.flock`; returns False where its file system has no locks.

    BlockingIOError means that another process holds it, with LOCK_NB.
    """
    try:
        fcntl.flock(file, operation)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True
