"""The peak memory of a step of the run."""

import itertools
import threading

import psutil

# Seconds between two looks.
INTERVAL = 0.25
# Looks between two searches for children: a search reads a file of every process on the machine.
_LOOKS_PER_SEARCH = 4


class PeakMemory:
    """Watches the resident memory (RSS) of this process and its children, from construction to `stop`.

    It samples every `INTERVAL` and may miss shorter peaks; pages that processes share count twice. Components of a
    local run share one process, so each starts with the memory that earlier ones kept.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._children: list[psutil.Process] = []
        self._peak = 0
        self._look(search=True)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak memory", daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Ends the watch and returns the peak, in bytes."""
        self._stopped.set()
        self._thread.join()
        self._look(search=True)
        return self._peak

    def _watch(self) -> None:
        for look in itertools.count(1):
            if self._stopped.wait(INTERVAL):
                return
            self._look(search=look % _LOOKS_PER_SEARCH == 0)

    def _look(self, search: bool) -> None:
        if search:
            self._children = self._process.children(recursive=True)
        total = 0
        for process in (self._process, *self._children):
            try:
                total += process.memory_info().rss
            except psutil.Error:  # it has ended meanwhile
                continue
        self._peak = max(self._peak, total)
