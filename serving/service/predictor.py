"""From the values of a request to the outputs of a signature, for both interfaces."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any

from crackgate.contracts.answer import Answer
from crackgate.contracts.signatures import SIGNATURE_INPUTS
from crackgate.contracts.stored_example import NOT_AN_EXAMPLE
from serving.service.batcher import Batcher
from serving.service.errors import Code, ServiceError
from serving.service.example_message import image_of
from serving.service.metrics import Metrics
from serving.service.model_versions import ModelVersions, ServedVersion
from serving.service.rest_payload import DEFAULT_SIGNATURE, PredictRequest, parse_request
from serving.service.settings import Limits

# Larger bodies are parsed in a thread.
_INLINE_BYTES = 64 * 2**10


class Predictor:
    """Answers for images with a version that is served."""

    def __init__(self, versions: ModelVersions, limits: Limits, metrics: Metrics):
        self.versions = versions
        self._limits, self._metrics = limits, metrics
        self._parsing = 0
        # One request at a time takes several times its size.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="requests")
        self.batcher = Batcher(limits, metrics, lambda: self._parsing > 0)

    async def parse(self, body: bytes) -> PredictRequest:
        """Reads a request, a large one in a thread; the next batch waits for it a moment. See `parse_request`."""
        arguments = body, SIGNATURE_INPUTS, self._limits.queued_images
        self._parsing += 1
        try:
            if len(body) <= _INLINE_BYTES:
                return parse_request(*arguments)
            return await asyncio.get_running_loop().run_in_executor(self._thread, parse_request, *arguments)
        finally:
            self._parsing -= 1

    def close(self) -> None:
        """Ends the threads, once what they have begun is done; it waits for nothing."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.batcher.close()

    async def predict(self, served: ServedVersion, signature: str, values: Sequence[bytes]) -> dict[str, list[Any]]:
        """A signature's outputs, with one value for each row; a broken or too large image has an `error`.

        The values are encoded images; serialized examples for `serving_default`. A busy service raises ServiceError.
        """
        images = [image_of(value) for value in values] if signature == DEFAULT_SIGNATURE else values
        sound = [image for image in images if image is not None]
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                answers = iter(await self.batcher.score(served.model, sound))
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
