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
    """Takes its time for each batch."""

    def __init__(self, seconds: float = 0.1):
        self._seconds = seconds

    def answer(self, images: Sequence[bytes]) -> list[Any]:
        time.sleep(self._seconds)
        return list(images)


async def _score(batcher: Batcher, *images: SizedImage, model: Any = None) -> None:
    batcher.check_room(images)
    await asyncio.gather(*[batcher.add(model or Slow(), image) for image in images])


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
        # Four wait for 0.4 s at least, and 40 more take 4 s: they are admitted once nothing waits.
        with pytest.raises(ServiceError, match="if they can be answered within 1 s") as refused:
            batcher.check_room([LARGE] * 40)
        assert refused.value.code is Code.RESOURCE_EXHAUSTED
        assert refused.value.retry_seconds == 1
        assert f"try again in {refused.value.retry_seconds} s" in refused.value.message
        batcher.check_room([LARGE])
        await waiting
        # Nothing waits: there is nobody who would have to be kept waiting.
        batcher.check_room([LARGE] * 40)

    _run(scenario)


def test_images_that_turn_out_to_be_slow_are_refused_before_their_time_is_up() -> None:
    async def scenario(batcher: Batcher) -> None:
        for _ in range(3):
            await _score(batcher, LARGE, model=Slow(0.001))
        model, started = Slow(0.25), time.monotonic()
        waiting = [asyncio.create_task(_score(batcher, LARGE, model=model)) for _ in range(12)]
        await asyncio.wait(waiting)
        refused = [str(task.exception()) for task in waiting if task.exception()]
        # They would take 3 s in all; four at most are answered within one.
        assert 8 <= len(refused) < 12 and time.monotonic() - started < 1.7
        assert all("no answer within 1 s" in reason and "try again in 1 s" in reason for reason in refused)
        # They keep nobody out.
        batcher.check_room([LARGE])

    _run(scenario)


def test_images_of_a_refused_request_keep_no_others_out() -> None:
    async def scenario(batcher: Batcher) -> None:
        for _ in range(3):
            await _score(batcher, LARGE)
        many = asyncio.create_task(_score(batcher, *[LARGE] * 40))
        await asyncio.sleep(0.02)
        after = batcher.add(Slow(), LARGE)
        with pytest.raises(ServiceError, match="no answer within 1 s: send fewer images at a time"):
            await many
        assert await after == LARGE.encoded

    _run(scenario)


def test_nobody_is_told_to_wait_longer_than_others_may() -> None:
    async def scenario(batcher: Batcher) -> None:
        for _ in range(3):
            await _score(batcher, LARGE)
        waiting = asyncio.create_task(_score(batcher, *[LARGE] * 40))
        await asyncio.sleep(0.02)
        assert batcher.seconds_to_answer() == 1
        with pytest.raises(ServiceError, match="try again in 1 s"):
            batcher.check_room([LARGE])
        with pytest.raises(ServiceError, match="no answer within 1 s"):
            await waiting

    _run(scenario)


def test_of_many_images_at_the_start_those_are_admitted_that_can_be_answered() -> None:
    async def scenario(batcher: Batcher) -> None:
        waiting = asyncio.create_task(_score(batcher, LARGE))
        await asyncio.sleep(0.02)
        batcher.check_room([LARGE] * 3)
        with pytest.raises(ServiceError, match="try again in"):
            batcher.check_room([LARGE] * 10)
        await waiting

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
