"""The memory that requests may take together, over HTTP and gRPC."""

from collections.abc import Callable
from typing import Self

from serving.service.errors import ServiceError, busy
from serving.service.metrics import Metrics


class RequestMemory:
    """Counts the bytes of all requests that are being read or answered."""

    def __init__(self, most: int, metrics: Metrics, seconds_to_answer: Callable[[], float]):
        """`most` bytes may be held at one time; what waits is answered after `seconds_to_answer()`."""
        self._most, self._metrics, self._seconds_to_answer = most, metrics, seconds_to_answer
        self._held = 0

    def take(self, count: int) -> None:
        """See `HeldBytes.add`; a negative count gives back."""
        if count > 0 and self._held + count > self._most:
            raise self.refusal("too many large requests at once:")
        self._held += count
        self._metrics.buffered.set(self._held)

    def refusal(self, reason: str) -> ServiceError:
        """The error for a request beside which too many others are held."""
        return busy(reason, self._seconds_to_answer())


class HeldBytes:
    """The bytes that one request holds within a `with` block; `count` of them."""

    def __init__(self, memory: RequestMemory):
        self._memory, self.count = memory, 0

    def add(self, count: int) -> None:
        """Holds more; raises ServiceError (RESOURCE_EXHAUSTED) where that does not fit."""
        self._memory.take(count)
        self.count += count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.take(-self.count)
