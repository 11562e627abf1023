"""Pillow's warnings, silenced while files are read."""

import threading
import warnings


class _Quiet:
    """Silences Pillow's warnings, since the limits here decide and no file may flood the log.

    Python's filters belong to all threads: the first one that reads a file changes them, the last one restores them.
    """

    def __init__(self) -> None:
        self._readers = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if not self._readers:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                self._filters.__exit__(None, None, None)


quiet = _Quiet()
