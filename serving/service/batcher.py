"""Scores the images of several requests together."""

import asyncio
import logging
import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from crackgate.plural import counted
from serving.service.errors import Code, ServiceError
from serving.service.metrics import Metrics
from serving.service.settings import Limits

if TYPE_CHECKING:
    from crackgate.contracts.answer import Answer
    from crackgate.model.released_model import ReleasedModel

log = logging.getLogger("crackgate.service")

# The pace that is expected is the median of the latest batches, once a few are known: the first ones load more.
_LATEST, _FEWEST = 8, 3
# An image takes as long as the decoding of its pixels and so many more: those of the network.
_PIXELS_OF_NETWORK = 500_000


class SizedImage(NamedTuple):
    """An encoded image, and the `pixels` that have to be decoded for its answer."""

    encoded: bytes
    pixels: int


class _Item(NamedTuple):
    model: "ReleasedModel"
    image: SizedImage
    future: "asyncio.Future[Answer]"


class Batcher:
    """A queue of images, bounded by number, pixels and time, and one thread that scores them batch by batch.

    While one batch is scored, the next gathers. A batch waits for a moment while other requests are being read.
    """

    def __init__(self, limits: Limits, metrics: Metrics, is_more_coming: Callable[[], bool]):
        """`is_more_coming`: whether requests are being read whose images are not in the queue yet."""
        self._limits, self._metrics, self._is_more_coming = limits, metrics, is_more_coming
        self._queue: deque[_Item] = deque()
        self._pixels = 0
        # What is being scored.
        self._batch: list[_Item] = []
        self._seconds_per_pixel: deque[float] = deque(maxlen=_LATEST)
        self._filled = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")

    def check_room(self, images: Sequence[SizedImage]) -> None:
        """Raises ServiceError (RESOURCE_EXHAUSTED) when a request's images have no room, or no answer in time."""
        limits, count = self._limits, len(images)
        pixels = sum(image.pixels for image in images)
        full = len(self._queue) + count > limits.queued_images or self._pixels + pixels > limits.queued_pixels
        before = self._seconds(len(self._queue), self._pixels) + self._seconds(*_size(self._batch))
        seconds = before + self._seconds(count, pixels)
        # Whoever is alone is admitted, however slow the latest batches were: nothing else would show that it is over.
        late = before > 0 and seconds > limits.answer_seconds
        if not count or not (full or late):
            return
        retry_seconds = max(1, math.ceil(before if full else seconds - limits.answer_seconds))
        raise ServiceError(
            Code.RESOURCE_EXHAUSTED,
            f"no room for {counted(count, 'image')} of {pixels / 1e6:.1f} megapixels: "
            f"{counted(len(self._queue), 'image')} of {self._pixels / 1e6:.1f} megapixels wait before; at most "
            f"{limits.queued_images} of {limits.queued_pixels / 1e6:.0f} megapixels may wait, if they can be answered "
            f"within {limits.answer_seconds:g} s: send fewer at a time, or try again in {retry_seconds} s",
            retry_seconds,
        )

    def add(self, model: "ReleasedModel", image: SizedImage) -> "asyncio.Future[Answer]":
        """Puts an image into the queue, after `check_room`, and returns its answer to come.

        The image is dropped when nobody waits for it, since it was cancelled.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append(_Item(model, image, future))
        self._pixels += image.pixels
        self._metrics.queued.inc()
        self._filled.set()
        return future

    async def run(self) -> None:
        """Scores batch after batch, until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._filled.wait()
            if len(self._queue) < self._limits.batch_images and self._is_more_coming():
                await asyncio.sleep(self._limits.batch_wait)
            batch = self._take()
            if not batch:
                continue
            model, images = batch[0].model, [item.image.encoded for item in batch]
            self._batch, began = batch, time.monotonic()
            try:
                answers = await loop.run_in_executor(self._thread, self._score, model, images)
                self._note_pace(time.monotonic() - began)
            except asyncio.CancelledError:
                raise
            # Neither a request nor the next batch may be left waiting.
            except Exception as error:
                log.exception("a batch of %d images failed", len(batch))
                for item in batch:
                    if not item.future.done():
                        item.future.set_exception(ServiceError(Code.INTERNAL, f"the model failed: {error}"))
                continue
            finally:
                self._batch = []
            for item, answer in zip(batch, answers, strict=True):
                if not item.future.done():
                    item.future.set_result(answer)

    def close(self) -> None:
        """Ends the thread, once its batch is scored; it waits for nothing."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> list[_Item]:
        """The next images, all for one model; those that nobody waits for are dropped."""
        batch: list[_Item] = []
        pixels = 0
        while self._queue and len(batch) < self._limits.batch_images:
            item = self._queue[0]
            if not item.future.done():
                pixels += item.image.pixels
                if batch and (item.model is not batch[0].model or pixels > self._limits.batch_pixels):
                    break
                batch.append(item)
            self._queue.popleft()
            self._pixels -= item.image.pixels
            self._metrics.queued.dec()
        if not self._queue:
            self._filled.clear()
        return batch

    def _note_pace(self, seconds: float) -> None:
        """Takes the seconds of the batch that is scored."""
        count, pixels = _size(self._batch)
        self._seconds_per_pixel.append(seconds / (pixels + count * _PIXELS_OF_NETWORK))

    def _seconds(self, count: int, pixels: int) -> float:
        """The seconds that so many images of so many pixels in all are expected to take; 0 while nothing is known."""
        if len(self._seconds_per_pixel) < _FEWEST:
            return 0
        return statistics.median(self._seconds_per_pixel) * (pixels + count * _PIXELS_OF_NETWORK)

    def _score(self, model: "ReleasedModel", images: list[bytes]) -> "list[Answer]":
        started = time.perf_counter()
        answers = model.answer(images)
        self._metrics.batch_images.observe(len(images))
        self._metrics.batch_seconds.observe(time.perf_counter() - started)
        return answers


def _size(items: Sequence[_Item]) -> tuple[int, int]:
    """The number of images, and their pixels together."""
    return len(items), sum(item.image.pixels for item in items)
