"""The step of the Beam pipeline that reads files, in threads of the worker."""

import os
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue
from threadpoolctl import threadpool_limits

from components.image_example_gen.account_rows import REJECTED, ROWS_OUTPUT, WARNING
from components.image_example_gen.manifest import BatchPlace, read_batch
from components.image_example_gen.staged_examples import Place, Reader, Staged
from crackgate.contracts.image_limits import ImageLimits
from crackgate.control_groups import usable_cores
from crackgate.images.copies.partitions import PictureTable, pack
from crackgate.storage.concurrency import count_threads
from crackgate.storage.location import Location, is_url


@dataclass(frozen=True)
class StagedBatch(PictureTable):
    """Pictures with paths as names, and the `Place` of each one's example, still without a group."""

    places: list[Place]


class ReadImages(beam.DoFn):
    """From the place of each batch in the manifest to a `StagedBatch`.

    Each thread reads a batch of its own into a staging file of its own. There are as many as this worker's cores, since
    decoding and measuring hold Python's lock for a small part of their time.

    Tagged output: `rows` of the account, see `write_account_rows`.
    """

    def __init__(self, folder: Location, classes: list[str], limits: ImageLimits, staging: str):
        self._reader = Reader(folder, {name: label for label, name in enumerate(classes)}, limits)
        self._staging = staging
        self._is_stored = is_url(folder)

    def setup(self) -> None:
        """Starts the threads, and limits products of small matrices to one: more would wait for each other."""
        self._limits = threadpool_limits(limits=1, user_api="blas")
        # The worker's cores: the machine that built the pipeline may have others.
        self._count = count_threads(usable_cores(), self._is_stored)
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="reader of images")
        self._over = threading.Event()

    def teardown(self) -> None:
        """Ends the threads, and gives the process its products back."""
        # An interrupted run's process would wait for whole batches.
        self._over.set()
        self._threads.shutdown(cancel_futures=True)
        self._limits.restore_original_limits()

    def start_bundle(self) -> None:
        """Begins with nothing to wait for."""
        self._read: deque[Future[Staged]] = deque()

    def process(self, batch: BatchPlace) -> Iterator[Any]:
        """Never raises for a file's content or faults. Outcomes of earlier batches come in their order."""
        # A thread finds its next batch at once, and no more of them wait in memory.
        while len(self._read) > self._count:
            yield from _outputs(self._read.popleft().result())
        # Every attempt has its own name: an abandoned one may still be writing.
        file = os.path.join(self._staging, f"{uuid.uuid4().hex}.staged")
        self._read.append(self._threads.submit(_read, self._reader, batch, file, self._over))

    def finish_bundle(self) -> Iterator[Any]:
        """Waits for the last batches."""
        while self._read:
            for output in _outputs(self._read.popleft().result()):
                yield _at_the_end(output)


def _read(reader: Reader, batch: BatchPlace, file: str, over: threading.Event) -> Staged:
    wanted = takewhile(lambda _: not over.is_set(), read_batch(batch))
    with beam.io.filesystems.FileSystems.create(file, compression_type=CompressionTypes.UNCOMPRESSED) as content:
        return reader.stage(batch.number, wanted, file, content)


def _outputs(staged: Staged) -> Iterator[Any]:
    for outcome, rows in ((REJECTED, staged.rejected), (WARNING, staged.warnings)):
        for row in rows:
            yield beam.pvalue.TaggedOutput(ROWS_OUTPUT, (outcome, row))
    if staged.names:
        yield StagedBatch(**vars(pack(staged.descriptors, staged.names)), places=staged.places)


def _at_the_end(output: Any) -> Any:
    """An output of `finish_bundle` with the time and window that Beam requires."""
    if isinstance(output, beam.pvalue.TaggedOutput):
        return beam.pvalue.TaggedOutput(output.tag, _at_the_end(output.value))
    return WindowedValue(output, MIN_TIMESTAMP, [GlobalWindow()])
