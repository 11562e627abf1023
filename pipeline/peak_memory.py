"""How much memory a step of the run took."""

import threading

import psutil

# Seconds between two looks.
INTERVAL = 0.25


class PeakMemory:
    """Watches the memory of this process and its children, from its construction to `stop`.

    It is resident memory (RSS), looked at every `INTERVAL`: a shorter peak can be missed, and pages that two processes
    share count twice. The components of a local run share one process, so each starts with what the earlier ones kept.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._peak = self._now()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak memory", daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Ends the watch and returns the peak, in bytes."""
        self._stopped.set()
        self._thread.join()
        return max(self._peak, self._now())

    def _watch(self) -> None:
        while not self._stopped.wait(INTERVAL):
            self._peak = max(self._peak, self._now())

    def _now(self) -> int:
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.Error:  # it has ended meanwhile
                continue
        return total
