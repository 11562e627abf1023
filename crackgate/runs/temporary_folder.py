"""The folder of a run's temporary files: those of a killed run go when the next one starts."""

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from functools import cache
from multiprocessing.util import Finalize, get_temp_dir
from pathlib import Path

_PREFIX = "crackgate-run-"
# A younger folder may be that of a run which has not locked it yet.
_SECONDS_TO_LOCK = 10
# After multiprocessing has removed its own folder in it, which has the priority -100.
_LAST = -200
# Linux allows 107 bytes for the path of a socket; this is that of multiprocessing, in its own folder.
_LONGEST = 107 - len("/pymp-12345678/listener-12345678")


@cache
def take_temporary_folder() -> Path:
    """Sends temporary files of this process, and of those that it starts, to a folder that ends with the process.

    The folder lies where temporary files lie: sockets need a short path. It is locked as long as the process lives.
    """
    parent = Path(tempfile.gettempdir())
    _remove_leftovers(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    descriptor = os.open(folder, os.O_RDONLY)
    # Some file systems have no locks.
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    if len(os.fsencode(folder)) > _LONGEST:
        # It stays where it would have been.
        get_temp_dir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=_LAST)
    return folder


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                status = os.fstat(descriptor)
                if status.st_uid == os.getuid() and time.time() - status.st_mtime > _SECONDS_TO_LOCK:
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
