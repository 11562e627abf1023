"""The queue of images: what has room, and what can be answered in time."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from serving.service.batcher import Batcher, SizedImage
from serving.service.errors import Code, ServiceError
from serving.service.metrics import Metrics
from serving.service.settings import Limits

LARGE = SizedImage(b"large", 9_500_000)
TINY = SizedImage(b"tiny", 1)


class Slow:
    """Takes a tenth of a second for each batch."""

    def answer(self, images: Sequence[bytes]) -> list[Any]:
        time.sleep(0.1)
        return list(images)


async def _score(batcher: Batcher, *images: SizedImage) -> None:
    batcher.check_room(images)
    await asyncio.gather(*[batcher.add(Slow(), image) for image in images])  # type: ignore[arg-type]


def _run(scenario: Any, **limits: Any) -> None:
    async def run() -> None:
        batcher = Batcher(Limits(answer_seconds=1, batch_pixels=10_000_000, **limits), Metrics(), lambda: False)
        work = asyncio.create_task(batcher.run())
        try:
            await scenario(batcher)
        finally:
            work.cancel()
            batcher.close()

    asyncio.run(run())


def test_images_that_cannot_be_answered_in_time_are_refused_at_once_and_say_when_to_come_again() -> None:
    async def scenario(batcher: Batcher) -> None:
        for _ in range(3):
            await _score(batcher, LARGE)
        waiting = asyncio.create_task(_score(batcher, *[LARGE] * 4))
        await asyncio.sleep(0.02)
        # Four wait for 0.4 s at least, and 40 more take 4 s.
        with pytest.raises(ServiceError, match="if they can be answered within 1 s") as refused:
            batcher.check_room([LARGE] * 40)
        assert refused.value.code is Code.RESOURCE_EXHAUSTED
        assert refused.value.retry_seconds >= 3
        assert f"try again in {refused.value.retry_seconds} s" in refused.value.message
        batcher.check_room([LARGE])
        await waiting
        # Nothing waits: there is nobody who would have to be kept waiting.
        batcher.check_room([LARGE] * 40)

    _run(scenario)


def test_tiny_images_are_as_slow_as_others_and_keep_none_of_them_out() -> None:
    async def scenario(batcher: Batcher) -> None:
        for _ in range(4):
            await _score(batcher, TINY)
        waiting = asyncio.create_task(_score(batcher, TINY))
        await asyncio.sleep(0.02)
        batcher.check_room([SizedImage(b"usual", 51_529)])
        await waiting

    _run(scenario)


def test_a_full_queue_says_how_long_it_takes() -> None:
    async def scenario(batcher: Batcher) -> None:
        for _ in range(3):
            await _score(batcher, LARGE)
        waiting = asyncio.create_task(_score(batcher, *[LARGE] * 4))
        await asyncio.sleep(0.02)
        with pytest.raises(ServiceError, match=r"3 images of 28\.5 megapixels wait before; at most 4 of") as refused:
            batcher.check_room([TINY] * 2)
        assert refused.value.retry_seconds == 1
        await waiting

    _run(scenario, queued_images=4)
