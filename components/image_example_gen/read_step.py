"""Reading files as a step of the Beam pipeline: `staging` says what is done with each, `helpers` who does it."""

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

from components.image_example_gen.reader_processes import Batch, Helper, take_helpers
from components.image_example_gen.staged_examples import Reader, Staged
from crackgate.contracts.image_limits import ImageLimits
from crackgate.images.copies.partitions import pack

REJECTED_OUTPUT = "rejected"
WARNINGS_OUTPUT = "warnings"


class ReadImages(beam.DoFn):
    """From a numbered batch of paths below the folder (bytes) to what is seen of its images, which are staged.

    Output: for each batch the `PictureTable`, named by their paths, and as many `Place`s. In a place is a serialized
    `tf.train.Example`, yet without group.

    Tagged outputs: `rejected` and `warnings`, rows of the account; the latter of images that were not taken whole.
    """

    def __init__(self, folder: str, classes: list[str], limits: ImageLimits, staging: str):
        self._reader = Reader(folder, {name: label for label, name in enumerate(classes)}, limits)
        self._staging = staging

    def setup(self) -> None:
        """One thread for each product of small matrices: more would only wait for each other, and for other workers."""
        self._threads = threadpool_limits(limits=1, user_api="blas")

    def teardown(self) -> None:
        """Whatever else runs in this process may have its threads again."""
        self._threads.restore_original_limits()

    def start_bundle(self) -> None:
        """Takes the helpers of this process, if it has any, to itself."""
        self._helpers: list[Helper] = take_helpers()

    def process(self, numbered: tuple[int, list[bytes]]) -> Iterator[Any]:
        """Never raises for what is in a file or wrong with it."""
        number, paths = numbered
        # Another name at every attempt: one that was given up may still be writing.
        file = os.path.join(self._staging, f"{uuid.uuid4().hex}.staged")
        batch = Batch(self._reader, number, paths, file)
        for helper in self._helpers:
            for done in helper.finished():
                yield from _outputs(done)
        if not any(helper.has_room() and helper.give(batch) for helper in self._helpers):
            yield from _outputs(_read(batch))

    def finish_bundle(self) -> Iterator[Any]:
        """Waits for the helpers, and reads what those that ended have left."""
        for helper in self._helpers:
            staged = [*helper.finish(), *map(_read, helper.left())]
            for output in (output for each in staged for output in _outputs(each)):
                yield _at_the_end(output)


def _read(batch: Batch) -> Staged:
    with beam.io.filesystems.FileSystems.create(batch.file, compression_type=CompressionTypes.UNCOMPRESSED) as content:
        return batch.reader.stage(batch.number, batch.paths, batch.file, content)


def _outputs(staged: Staged) -> Iterator[Any]:
    for row in staged.rejected:
        yield beam.pvalue.TaggedOutput(REJECTED_OUTPUT, row)
    for row in staged.warnings:
        yield beam.pvalue.TaggedOutput(WARNINGS_OUTPUT, row)
    if staged.names:
        yield pack(staged.descriptors, staged.names), staged.places


def _at_the_end(output: Any) -> Any:
    """An output that no element stands for, as Beam wants it: with its time and window, here the only ones."""
    if isinstance(output, beam.pvalue.TaggedOutput):
        return beam.pvalue.TaggedOutput(output.tag, _at_the_end(output.value))
    return WindowedValue(output, MIN_TIMESTAMP, [GlobalWindow()])
