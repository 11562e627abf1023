"""Scores the images of several requests together."""

import asyncio
import logging
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


class SizedImage(NamedTuple):
    """An encoded image, and the `pixels` that have to be decoded for its answer."""

    encoded: bytes
    pixels: int


class _Item(NamedTuple):
    model: "ReleasedModel"
    image: SizedImage
    future: "asyncio.Future[Answer]"


class Batcher:
    """A queue of images, bounded by their number and their pixels, and one thread that scores them batch by batch.

    While one batch is scored, the next gathers. A batch waits for a moment while other requests are being read.
    """

    def __init__(self, limits: Limits, metrics: Metrics, is_more_coming: Callable[[], bool]):
        """`is_more_coming`: whether requests are being read whose images are not in the queue yet."""
        self._limits, self._metrics, self._is_more_coming = limits, metrics, is_more_coming
        self._queue: deque[_Item] = deque()
        self._pixels = 0
        self._filled = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")

    def check_room(self, images: Sequence[SizedImage]) -> None:
        """Raises ServiceError (RESOURCE_EXHAUSTED) when the queue has no room for all of a request's images."""
        limits, count = self._limits, len(images)
        pixels = sum(image.pixels for image in images)
        if count and (len(self._queue) + count > limits.queued_images or self._pixels + pixels > limits.queued_pixels):
            raise ServiceError(
                Code.RESOURCE_EXHAUSTED,
                f"no room for {counted(count, 'image')} of {pixels / 1e6:.1f} megapixels: "
                f"{counted(len(self._queue), 'image')} of {self._pixels / 1e6:.1f} megapixels wait before; at most "
                f"{limits.queued_images} of {limits.queued_pixels / 1e6:.0f} megapixels may wait: send fewer at a time "
                "or try again later",
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
            try:
                answers = await loop.run_in_executor(self._thread, self._score, model, images)
            except asyncio.CancelledError:
                raise
            # Neither a request nor the next batch may be left waiting.
            except Exception as error:
                log.exception("a batch of %d images failed", len(batch))
                for item in batch:
                    if not item.future.done():
                        item.future.set_exception(ServiceError(Code.INTERNAL, f"the model failed: {error}"))
                continue
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

    def _score(self, model: "ReleasedModel", images: list[bytes]) -> "list[Answer]":
        started = time.perf_counter()
        answers = model.answer(images)
        self._metrics.batch_images.observe(len(images))
        self._metrics.batch_seconds.observe(time.perf_counter() - started)
        return answers
