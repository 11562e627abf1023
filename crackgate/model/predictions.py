"""Rows of answers for image files, in flat memory."""

import math
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crackgate.contracts.answer import Answer
from crackgate.control_groups import usable_cores
from crackgate.images.image_folder import read_source, readable_path
from crackgate.images.rejection import RejectedImageError
from crackgate.storage.concurrency import count_threads
from crackgate.storage.location import Location, is_url

if TYPE_CHECKING:
    from crackgate.model.released_model import ReleasedModel

# The model is asked for so many images at a time, or fewer that have so many bytes together.
_IMAGES_AT_ONCE = 64
_BYTES_AT_ONCE = 32_000_000


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """The answer for one file, with an error where the file is unusable or a score is no number.

    Attributes:
        image: The file's path or URL as it was found; bytes of it that are no UTF-8 are written as "\\xff".
    """

    image: str
    answer: Answer


def predict(model: "ReleasedModel", files: Iterable[Location]) -> Iterator[PredictionRow]:
    """Scores files in the given order, some dozens at a time; rows come out as soon as their batch is scored.

    Raises StorageError where the store of the images cannot be used any longer.
    """
    batch: list[tuple[Location, bytes | str]] = []
    size = 0
    for file, content in _read_ahead(files, model.limits.max_bytes):
        batch.append((file, content))
        size += len(content)
        if len(batch) == _IMAGES_AT_ONCE or size >= _BYTES_AT_ONCE:
            yield from _score(model, batch)
            batch, size = [], 0
    yield from _score(model, batch)


def _read_ahead(files: Iterable[Location], max_bytes: int) -> Iterator[tuple[Location, bytes | str]]:
    """The files' contents, or why they cannot be read, in order; some are read while the model is busy."""
    cores = usable_cores()
    threads = count_threads(cores, is_stored=True)
    waiting: deque[tuple[Location, Future[bytes | str]]] = deque()
    # It starts a thread only for a file that finds all others busy.
    pool = ThreadPoolExecutor(threads, thread_name_prefix="reading")
    try:
        for file in files:
            waiting.append((file, pool.submit(_read, file, max_bytes)))
            if len(waiting) > (threads if is_url(file) else 4 * cores):
                first, content = waiting.popleft()
                yield first, content.result()
        while waiting:
            first, content = waiting.popleft()
            yield first, content.result()
    finally:
        # A store that has gone away would be waited for by every file behind the first.
        pool.shutdown(wait=False, cancel_futures=True)


def _read(file: Location, max_bytes: int) -> bytes | str:
    try:
        return read_source(file, max_bytes)
    except RejectedImageError as rejection:
        return str(rejection)
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _score(model: "ReleasedModel", batch: list[tuple[Location, bytes | str]]) -> Iterator[PredictionRow]:
    answers = iter(model.answer([content for _, content in batch if isinstance(content, bytes)]))
    for file, content in batch:
        answer = model.failure(content) if isinstance(content, str) else next(answers)
        if not all(map(math.isfinite, answer.scores)):
            answer = model.failure("the model's scores are no numbers: do not use this model")
        yield PredictionRow(readable_path(os.fsencode(file)), answer)
