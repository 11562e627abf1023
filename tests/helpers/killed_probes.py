"""A machine that leaves ServingCheck's process no memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil


@contextmanager
def every_probe_killed() -> Iterator[None]:
    """As the kernel does it where memory runs out."""
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(0.05):
            for process in psutil.Process().children():
                with suppress(psutil.Error):
                    if any(part.endswith("probe.py") for part in process.cmdline()):
                        process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join()
