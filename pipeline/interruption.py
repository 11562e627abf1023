"""Handling of Ctrl-C and `kill`."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Seconds until a lost interruption is repeated.
_PATIENCE = 1.0


@contextmanager
def interruptible() -> Iterator[None]:
    """Turns SIGINT and SIGTERM into KeyboardInterrupt, repeatedly until the block is left; for the main thread only.

    Python may lose a single one in a destructor or in a callback of C code, such as TensorFlow's.
    """

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        raise KeyboardInterrupt

    names = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = {name: signal.signal(name, interrupt) for name in names}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for name, handler in before.items():
            signal.signal(name, handler)
