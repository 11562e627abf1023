"""Room for the pixels of images that several threads decode at once: large images wait for each other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class DecodingRoom:
    """So many pixels, which threads share; an image of more has it alone."""

    def __init__(self, pixels: int):
        self._pixels = self._free = pixels
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for `pixels`, and keeps it for the block."""
        wanted = min(pixels, self._pixels)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()
