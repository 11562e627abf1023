"""The memory that requests may take together, over HTTP and gRPC."""

from collections.abc import Iterator
from contextlib import contextmanager

from serving.service.errors import Code, ServiceError
from serving.service.metrics import Metrics


class HeldBytes:
    """The bytes that one request holds."""

    def __init__(self, memory: "RequestMemory"):
        self._memory, self.count = memory, 0

    def add(self, count: int) -> None:
        """Holds more; raises ServiceError (RESOURCE_EXHAUSTED) where that does not fit."""
        self._memory.take(count)
        self.count += count


class RequestMemory:
    """Counts the bytes of all requests that are being read or answered."""

    def __init__(self, most: int, metrics: Metrics):
        """`most` bytes may be held at one time."""
        self._most, self._metrics, self._held = most, metrics, 0

    @contextmanager
    def holding(self) -> Iterator[HeldBytes]:
        """Gives a request's account, whose bytes are free again afterwards."""
        held = HeldBytes(self)
        try:
            yield held
        finally:
            self.take(-held.count)

    def take(self, count: int) -> None:
        """See `HeldBytes.add`; a negative count gives back."""
        if count > 0 and self._held + count > self._most:
            raise ServiceError(Code.RESOURCE_EXHAUSTED, "too many large requests at once: try again later")
        self._held += count
        self._metrics.buffered.set(self._held)
