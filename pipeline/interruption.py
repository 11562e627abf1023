"""Handling of Ctrl-C and `kill`."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

# Seconds until a lost interruption is repeated.
_PATIENCE = 1.0


@dataclass
class Interruption:
    """Whether someone has interrupted the block: Beam makes other errors of the one that was raised."""

    received: bool = False


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turns SIGINT and SIGTERM into KeyboardInterrupt, repeatedly until the block is left; for the main thread only.

    Python may lose a single one in a destructor or in a callback of C code, such as TensorFlow's.
    """
    interruption = Interruption()

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        interruption.received = True
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        raise KeyboardInterrupt

    names = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = {name: signal.signal(name, interrupt) for name in names}
    try:
        yield interruption
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for name, handler in before.items():
            signal.signal(name, handler)
