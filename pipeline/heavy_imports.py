"""Imports of TFX and TensorFlow, which take seconds."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """For imports: spares Python's garbage collector what they make, all of which stays.

    It would look through a million objects again and again: a third of the time that the imports take, and then all
    through the run.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
