"""Scores the images of several requests together."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from crackgate.plural import counted
from serving.service.errors import Code, ServiceError
from serving.service.metrics import Metrics
from serving.service.settings import Limits

if TYPE_CHECKING:
    from crackgate.contracts.answer import Answer
    from crackgate.model.released_model import ReleasedModel

log = logging.getLogger("crackgate.service")

_Item = tuple["ReleasedModel", bytes, "asyncio.Future[Answer]"]


class Batcher:
    """A bounded queue of images, and one thread that scores them batch by batch.

    While one batch is scored, the next gathers. A batch waits for a moment while other requests are being read.
    """

    def __init__(self, limits: Limits, metrics: Metrics, is_more_coming: Callable[[], bool]):
        """`is_more_coming`: whether requests are being read whose images are not in the queue yet."""
        self._limits, self._metrics, self._is_more_coming = limits, metrics, is_more_coming
        self._queue: deque[_Item] = deque()
        self._filled = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")

    async def score(self, model: "ReleasedModel", images: Sequence[bytes]) -> "list[Answer]":
        """Answers for images, in their order; raises ServiceError (RESOURCE_EXHAUSTED) when the queue has no room."""
        if not images:
            return []
        if len(self._queue) + len(images) > self._limits.queued_images:
            raise ServiceError(
                Code.RESOURCE_EXHAUSTED,
                f"no room for {counted(len(images), 'image')} beside the {len(self._queue)} that wait already: at most "
                f"{self._limits.queued_images} may wait; try again later",
            )
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in images]
        self._queue.extend((model, image, future) for image, future in zip(images, futures, strict=True))
        self._metrics.queued.set(len(self._queue))
        self._filled.set()
        try:
            return list(await asyncio.gather(*futures))
        finally:
            # When one failed or the time was up, nobody waits for the others.
            for future in futures:
                future.cancel()

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
            model = batch[0][0]
            try:
                answers = await loop.run_in_executor(self._thread, self._score, model, [item[1] for item in batch])
            except asyncio.CancelledError:
                raise
            # Neither a request nor the next batch may be left waiting.
            except Exception as error:
                log.exception("a batch of %d images failed", len(batch))
                for *_, future in batch:
                    if not future.done():
                        future.set_exception(ServiceError(Code.INTERNAL, f"the model failed: {error}"))
                continue
            for (*_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)

    def close(self) -> None:
        """Ends the thread, once its batch is scored; it waits for nothing."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> list[_Item]:
        """The next images, all for one model; those that nobody waits for are dropped."""
        batch: list[_Item] = []
        while self._queue and len(batch) < self._limits.batch_images:
            if self._queue[0][2].done():
                self._queue.popleft()
            elif batch and self._queue[0][0] is not batch[0][0]:
                break
            else:
                batch.append(self._queue.popleft())
        self._metrics.queued.set(len(self._queue))
        if not self._queue:
            self._filled.clear()
        return batch

    def _score(self, model: "ReleasedModel", images: list[bytes]) -> "list[Answer]":
        started = time.perf_counter()
        answers = model.answer(images)
        self._metrics.batch_images.observe(len(images))
        self._metrics.batch_seconds.observe(time.perf_counter() - started)
        return answers
