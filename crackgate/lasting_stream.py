"""Text on which nothing depends: for a terminal, a pipe whose reader goes, or a log on a disk that may be full."""

import os
from io import TextIOWrapper


class LastingStream(TextIOWrapper):
    """A text stream whose writes never fail: after one that does, all text is dropped."""

    def __init__(self, descriptor: int):
        """Owns the descriptor from now on."""
        super().__init__(os.fdopen(descriptor, "wb"), encoding="utf-8", errors="backslashreplace")

    def write(self, text: str) -> int:
        """Writes the text at once, or drops it."""
        try:
            super().write(text)
            super().flush()
        except OSError:
            self._drop()
        return len(text)

    def flush(self) -> None:
        """Does what `write` has not done."""
        try:
            super().flush()
        except OSError:
            self._drop()

    def _drop(self) -> None:
        # The rest of the buffer goes there, too.
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), self.fileno())
