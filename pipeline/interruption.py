"""Ctrl-C and `kill` that are always heard."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Seconds until an interruption that nobody heard is repeated.
_PATIENCE = 1.0


@contextmanager
def interruptible() -> Iterator[None]:
    """Turns SIGINT and SIGTERM into KeyboardInterrupt, again and again until the block is left.

    Python drops an exception that is raised in a destructor or in a callback of C code, where TensorFlow and Keras
    spend much of their time; a single KeyboardInterrupt may so come to nothing. For the main thread.
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
