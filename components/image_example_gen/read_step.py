"""The step of the Beam pipeline that reads files, in this process or in reader processes."""

import os
import uuid
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue
from threadpoolctl import threadpool_limits

from components.image_example_gen.reader_processes import Batch, ReaderProcess, take_reader_processes
from components.image_example_gen.staged_examples import Reader, Staged
from crackgate.contracts.image_limits import ImageLimits
from crackgate.data_set.data_set import ListedImage
from crackgate.images.copies.partitions import pack

REJECTED_OUTPUT = "rejected"
WARNINGS_OUTPUT = "warnings"


class ReadImages(beam.DoFn):
    """From numbered batches of listed images to pictures and staged examples.

    Output: for each batch a `PictureTable` with paths as names, and the `Place` of each example, still without a group.
    Tagged outputs: `rejected` and `warnings`, rows of the account.
    """

    def __init__(self, folder: str, classes: list[str], limits: ImageLimits, staging: str):
        self._reader = Reader(folder, {name: label for label, name in enumerate(classes)}, limits)
        self._staging = staging

    def setup(self) -> None:
        """Limits products of small matrices to one thread: more would wait for each other."""
        self._threads = threadpool_limits(limits=1, user_api="blas")

    def teardown(self) -> None:
        """Gives the process its threads back."""
        self._threads.restore_original_limits()

    def start_bundle(self) -> None:
        """Takes the started reader processes, if any."""
        self._readers: list[ReaderProcess] = take_reader_processes()

    def process(self, numbered: tuple[int, list[ListedImage]]) -> Iterator[Any]:
        """Never raises for a file's content or faults."""
        number, images = numbered
        # Every attempt has its own name: an abandoned one may still be writing.
        file = os.path.join(self._staging, f"{uuid.uuid4().hex}.staged")
        batch = Batch(self._reader, number, images, file)
        for reader in self._readers:
            for done in reader.finished():
                yield from _outputs(done)
        if not any(reader.has_room() and reader.give(batch) for reader in self._readers):
            yield from _outputs(_read(batch))

    def finish_bundle(self) -> Iterator[Any]:
        """Waits for the reader processes, and reads the batches that ended ones left."""
        for reader in self._readers:
            staged = [*reader.finish(), *map(_read, reader.left())]
            for output in (output for each in staged for output in _outputs(each)):
                yield _at_the_end(output)


def _read(batch: Batch) -> Staged:
    with beam.io.filesystems.FileSystems.create(batch.file, compression_type=CompressionTypes.UNCOMPRESSED) as content:
        return batch.reader.stage(batch.number, batch.images, batch.file, content)


def _outputs(staged: Staged) -> Iterator[Any]:
    for row in staged.rejected:
        yield beam.pvalue.TaggedOutput(REJECTED_OUTPUT, row)
    for row in staged.warnings:
        yield beam.pvalue.TaggedOutput(WARNINGS_OUTPUT, row)
    if staged.names:
        yield pack(staged.descriptors, staged.names), staged.places


def _at_the_end(output: Any) -> Any:
    """An output of `finish_bundle` with the time and window that Beam requires."""
    if isinstance(output, beam.pvalue.TaggedOutput):
        return beam.pvalue.TaggedOutput(output.tag, _at_the_end(output.value))
    return WindowedValue(output, MIN_TIMESTAMP, [GlobalWindow()])
