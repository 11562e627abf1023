"""Room for images that several threads decode at once: large images wait for each other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class DecodingRoom:
    """So many bytes of memory, which threads share; an image that takes more has them alone."""

    def __init__(self, count: int):
        self._count = self._free = count
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, count: int) -> Iterator[None]:
        """Waits until there is room for so many bytes, and keeps it for the block."""
        wanted = min(count, self._count)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()
