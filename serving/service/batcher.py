"""Scores the images of several requests together."""

import asyncio
import logging
import statistics
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from crackgate.plural import counted
from serving.service.errors import Code, ServiceError, busy
from serving.service.metrics import Metrics
from serving.service.settings import Limits

if TYPE_CHECKING:
    from crackgate.contracts.answer import Answer
    from crackgate.model.released_model import ReleasedModel

log = logging.getLogger("crackgate.service")

# The pace that is expected is the median of the latest batches, once a few are known: the first ones load more. Before,
# it is that of large JPEGs on two cores.
_LATEST, _FEWEST = 8, 3
_FIRST_SECONDS_PER_PIXEL = 20e-9
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
    # By `time.monotonic`.
    due: float
    # The task that waits for all images of a request, or for none of them.
    request: object


class Batcher:
    """A queue of images, bounded by number, pixels and time, and one thread that scores them batch by batch.

    While one batch is scored, the next gathers. A batch waits for a moment while other requests are being read.
    """

    def __init__(self, limits: Limits, metrics: Metrics, is_more_coming: Callable[[], bool]):
        """`is_more_coming`: whether requests are being read whose images are not in the queue yet."""
        self._limits, self._metrics, self._is_more_coming = limits, metrics, is_more_coming
        self._queue: deque[_Item] = deque()
        # The images that are being scored.
        self._batch: list[_Item] = []
        self._seconds_per_pixel: deque[float] = deque(maxlen=_LATEST)
        self._filled = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")

    def check_room(self, images: Sequence[SizedImage]) -> None:
        """Raises ServiceError (RESOURCE_EXHAUSTED) when a request's images have no room, or no answer in time."""
        self._drop_abandoned()
        limits, count = self._limits, len(images)
        pixels = sum(image.pixels for image in images)
        queued_pixels = sum(item.image.pixels for item in self._queue)
        full = len(self._queue) + count > limits.queued_images or queued_pixels + pixels > limits.queued_pixels
        before = self.seconds_to_answer()
        seconds = before + self._pace() * _work(images)
        # A request that is alone is admitted, however slow the latest batches were: nothing else shows that it is over.
        late = before > 0 and seconds > limits.answer_seconds
        if not count or not (full or late):
            return
        raise busy(
            f"no room for {counted(count, 'image')} of {pixels / 1e6:.1f} megapixels: "
            f"{counted(len(self._queue), 'image')} of {queued_pixels / 1e6:.1f} megapixels wait before; at most "
            f"{limits.queued_images} of {limits.queued_pixels / 1e6:.0f} megapixels may wait, if they can be answered "
            f"within {limits.answer_seconds:g} s: send fewer at a time, or",
            # Once nothing waits before it, it is admitted.
            before if full else min(before, seconds - limits.answer_seconds),
        )

    def seconds_to_answer(self) -> float:
        """The seconds that the images which are scored or wait are expected to take, or may at most."""
        seconds = self._pace() * _work([item.image for item in (*self._batch, *self._queue)])
        return min(seconds, self._limits.answer_seconds)

    def add(self, model: "ReleasedModel", image: SizedImage) -> "asyncio.Future[Answer]":
        """Puts an image into the queue, after `check_room`, and returns its answer to come.

        The image is dropped when nobody waits for it, since it was cancelled.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        due = time.monotonic() + self._limits.answer_seconds
        self._queue.append(_Item(model, image, future, due, asyncio.current_task()))
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
                self._seconds_per_pixel.append((time.monotonic() - began) / _work([item.image for item in batch]))
                self._refuse_late()
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

    def close(self, wait: bool = False) -> None:
        """Ends the thread, once its batch is scored; `wait` until then."""
        self._thread.shutdown(wait, cancel_futures=True)

    def _take(self) -> list[_Item]:
        """The next images, all for one model."""
        self._drop_abandoned()
        batch: list[_Item] = []
        pixels = 0
        while self._queue and len(batch) < self._limits.batch_images:
            item = self._queue[0]
            pixels += item.image.pixels
            if batch and (item.model is not batch[0].model or pixels > self._limits.batch_pixels):
                break
            batch.append(item)
            self._queue.popleft()
            self._metrics.queued.dec()
        if not self._queue:
            self._filled.clear()
        return batch

    def _drop_abandoned(self) -> None:
        """Drops the images that nobody waits for: they keep no others out."""
        kept = [item for item in self._queue if not item.future.done()]
        self._metrics.queued.dec(len(self._queue) - len(kept))
        self._queue = deque(kept)

    def _refuse_late(self) -> None:
        """Refuses requests that are late even at the best pace of the latest few batches, but not for the next image.

        Images are admitted by the pace of others, and formats differ.
        """
        if len(self._seconds_per_pixel) < _FEWEST:
            return
        self._drop_abandoned()
        pace, end = min(list(self._seconds_per_pixel)[-_FEWEST:]), time.monotonic()
        taken: defaultdict[object, float] = defaultdict(float)
        for number, item in enumerate(self._queue):
            seconds = pace * _work([item.image])
            if item.future.done():
                continue
            if number and end + seconds > item.due:
                reason = f"no answer within {self._limits.answer_seconds:g} s: send fewer images at a time, or"
                item.future.set_exception(busy(reason, end - time.monotonic()))
                # Others take the time that its request would have taken.
                end -= taken.pop(item.request, 0)
                for other in self._queue:
                    if other.request is item.request:
                        other.future.cancel()
            else:
                taken[item.request] += seconds
                end += seconds

    def _pace(self) -> float:
        """The seconds that a pixel is expected to take; see `_work`."""
        known = len(self._seconds_per_pixel) >= _FEWEST
        return statistics.median(self._seconds_per_pixel) if known else _FIRST_SECONDS_PER_PIXEL

    def _score(self, model: "ReleasedModel", images: list[bytes]) -> "list[Answer]":
        started = time.perf_counter()
        answers = model.answer(images)
        self._metrics.batch_images.observe(len(images))
        self._metrics.batch_seconds.observe(time.perf_counter() - started)
        return answers


def _work(images: Sequence[SizedImage]) -> int:
    """The pixels that take as long as the images."""
    return sum(image.pixels + _PIXELS_OF_NETWORK for image in images)
