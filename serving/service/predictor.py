"""From the values of a request to the outputs of a signature, for both interfaces."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from crackgate.contracts.answer import Answer
from crackgate.contracts.signatures import SIGNATURE_INPUTS
from crackgate.contracts.stored_example import NOT_AN_EXAMPLE
from serving.service.batcher import Batcher, SizedImage
from serving.service.errors import Code, ServiceError
from serving.service.example_message import image_of
from serving.service.metrics import Metrics
from serving.service.model_versions import ModelVersions, ServedVersion
from serving.service.rest_payload import DEFAULT_SIGNATURE, PredictRequest, parse_request
from serving.service.settings import Limits

if TYPE_CHECKING:
    from crackgate.model.released_model import ReleasedModel

T = TypeVar("T")
# Larger requests are read in a thread.
_INLINE_BYTES = 64 * 2**10


class Predictor:
    """Answers for images with a version that is served."""

    def __init__(self, versions: ModelVersions, limits: Limits, metrics: Metrics):
        self.versions = versions
        self._limits, self._metrics = limits, metrics
        self._reading = 0
        # One request at a time takes several times its size.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="requests")
        self._small = Batcher(limits, metrics, lambda: self._reading > 0)
        # Others don't wait for large images, of which few are decoded at a time.
        self._large = Batcher(limits, metrics, lambda: False)

    async def parse(self, body: bytes) -> PredictRequest:
        """Reads a request, a large one in a thread. See `parse_request`."""
        return await self._run(len(body), lambda: parse_request(body, SIGNATURE_INPUTS, self._limits.queued_images))

    async def run(self) -> None:
        """Scores what is asked, until it is cancelled."""
        await asyncio.gather(self._small.run(), self._large.run())

    def seconds_to_answer(self) -> float:
        """The seconds that the images that wait are expected to take."""
        return max(self._small.seconds_to_answer(), self._large.seconds_to_answer())

    def close(self, wait: bool = False) -> None:
        """Ends the threads, once what they have begun is done; `wait` until then."""
        self._thread.shutdown(wait, cancel_futures=True)
        self._small.close(wait)
        self._large.close(wait)

    async def predict(self, served: ServedVersion, signature: str, values: Sequence[bytes]) -> dict[str, list[Any]]:
        """A signature's outputs, with one value for each row; a broken or too large image has an `error`.

        The values are encoded images; serialized examples for `serving_default`. A busy service raises ServiceError.
        """
        images = [image_of(value) for value in values] if signature == DEFAULT_SIGNATURE else values
        sound = [image for image in images if image is not None]
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                answers = iter(await self._score(served.model, sound))
        except TimeoutError:
            raise ServiceError(
                Code.DEADLINE_EXCEEDED, f"no answer within {self._limits.answer_seconds:g} s; try again later"
            ) from None
        model = served.model
        rows = [model.failure(NOT_AN_EXAMPLE) if image is None else next(answers) for image in images]
        failed = sum(bool(row.error) for row in rows)
        self._metrics.images.labels("scored").inc(len(rows) - failed)
        self._metrics.images.labels("error").inc(failed)
        if model.familiarity is not None:
            self._metrics.add_unfamiliar([row.is_unfamiliar for row in rows if not row.error])
        names = [field.name for field in fields(Answer)]
        if not model.positive_classes:
            names.remove("is_positive")
        if model.familiarity is None:
            names.remove("unfamiliarity")
        return {name: [getattr(row, name) for row in rows] for name in names}

    async def _score(self, model: "ReleasedModel", images: list[bytes]) -> list[Answer]:
        """Answers in the order of the images."""
        sizes = await self._run(sum(map(len, images)), lambda: [model.pixels_to_decode(image) for image in images])
        sized = [SizedImage(image, pixels) for image, pixels in zip(images, sizes, strict=True)]
        batchers = [self._large if image.pixels >= self._limits.large_pixels else self._small for image in sized]
        # The whole request, or nothing of it: what is refused may keep nobody else out.
        for batcher in (self._small, self._large):
            batcher.check_room([image for image, its in zip(sized, batchers, strict=True) if its is batcher])
        futures = [batcher.add(model, image) for batcher, image in zip(batchers, sized, strict=True)]
        try:
            return await asyncio.gather(*futures)
        finally:
            # When one failed or the time was up, nobody waits for the others.
            for future in futures:
                future.cancel()

    async def _run(self, size: int, function: Callable[[], T]) -> T:
        """Calls a function of `size` bytes; a large one runs in a thread, and the next batch waits a moment."""
        if size <= _INLINE_BYTES:
            return function()
        self._reading += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function)
        finally:
            self._reading -= 1
