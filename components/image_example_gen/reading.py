"""Reading files: into staged examples and what the grouping needs, or into rejections."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from threadpoolctl import threadpool_limits

from components import features
from components.copies.descriptor import describe
from components.copies.pictures import pack
from components.image_folder import read_regular_file
from components.images import CanonicalImage, ImageLimits, RejectedImageError, canonical_image

REJECTED_OUTPUT = "rejected"
NOTED_OUTPUT = "noted"


@dataclass(frozen=True)
class Place:
    """Where the example of an image is staged.

    Attributes:
        batch: Number of the batch of images.
        file: Staging file.
        offset: Bytes in front of the example.
        size: Its bytes.
    """

    batch: int
    file: str
    offset: int
    size: int


class ReadImages(beam.DoFn):
    """From a numbered batch of paths below the folder (bytes) to what is seen of its images, which are staged.

    Output: for each batch the `Pictures`, named by their paths, and as many `Place`s. In a place is a serialized
    `tf.train.Example`, yet without group.

    Tagged outputs: `rejected` and `noted`, rows of the account. An image that was not taken whole is noted.
    """

    def __init__(self, folder: str, classes: list[str], limits: ImageLimits, staging: str):
        self._folder = folder
        self._labels = {name: label for label, name in enumerate(classes)}
        self._limits = limits
        self._staging = staging

    def setup(self) -> None:
        """One thread for each product of small matrices: more would only wait for each other, and for other workers."""
        self._threads = threadpool_limits(limits=1, user_api="blas")

    def teardown(self) -> None:
        """Whatever else runs in this process may have its threads again."""
        self._threads.restore_original_limits()

    def process(self, batch: tuple[int, list[bytes]]) -> Iterator[Any]:
        """Never raises for what is in a file or wrong with it."""
        number, paths = batch
        # Another name at every attempt: one that was given up may still be writing.
        file = os.path.join(self._staging, f"{uuid.uuid4().hex}.staged")
        descriptors, names, places, offset = [], [], [], 0
        with beam.io.filesystems.FileSystems.create(file, compression_type=CompressionTypes.UNCOMPRESSED) as staged:
            for path in paths:
                class_name = class_of(path)
                try:
                    image = self._read(path, class_name)
                except RejectedImageError as rejection:
                    yield account_row(
                        REJECTED_OUTPUT, path, class_name, reason=rejection.reason, detail=rejection.detail
                    )
                    continue
                descriptor = describe(image.luma)
                example = _to_example(path, class_name, self._labels[class_name], image, descriptor).SerializeToString(
                    deterministic=True
                )
                staged.write(example)
                descriptors.append(descriptor)
                names.append(path)
                places.append(Place(number, file, offset, len(example)))
                offset += len(example)
                if image.note:
                    yield account_row(NOTED_OUTPUT, path, class_name, note=image.note)
        if names:
            yield pack(descriptors, names), places

    def _read(self, path: bytes, class_name: str) -> CanonicalImage:
        if class_name not in self._labels:
            raise RejectedImageError("not in a class folder", f"the classes are {', '.join(self._labels)}")
        try:
            data = read_regular_file(os.path.join(os.fsencode(self._folder), path), self._limits.max_bytes)
        except OSError as error:
            raise RejectedImageError("unreadable", error.strerror or str(error)) from None
        return canonical_image(data, self._limits)


def class_of(path: bytes) -> str:
    """The class folder that holds a file, or "" when the file lies beside them."""
    return os.fsdecode(path).partition(os.sep)[0] if os.sep.encode() in path else ""


def account_row(output: str, path: bytes, class_name: str, **said: str) -> beam.pvalue.TaggedOutput:
    """What is said of a file, in text that any reader can take."""
    readable = {
        "path": readable_path(path),
        "class": class_name.encode("utf-8", "backslashreplace").decode(),
    }
    return beam.pvalue.TaggedOutput(output, readable | said)


def readable_path(path: bytes) -> str:
    """The path with bytes that are no UTF-8 written out."""
    return path.decode("utf-8", "backslashreplace")


def _to_example(path: bytes, class_name: str, label: int, image: CanonicalImage, descriptor: bytes) -> tf.train.Example:
    # Filled in place: putting it together from one message per feature takes three times as long.
    example = tf.train.Example()
    feature = example.features.feature
    feature[features.ENCODED].bytes_list.value.append(image.encoded)
    feature[features.FORMAT].bytes_list.value.append(image.format.encode())
    feature[features.BYTES].int64_list.value.append(image.file_bytes)
    feature[features.HEIGHT].int64_list.value.append(image.height)
    feature[features.WIDTH].int64_list.value.append(image.width)
    feature[features.FILENAME].bytes_list.value.append(path)
    feature[features.CLASS_TEXT].bytes_list.value.append(class_name.encode())
    feature[features.CLASS_LABEL].int64_list.value.append(label)
    feature[features.BRIGHTNESS].float_list.value.append(image.brightness)
    feature[features.CONTRAST].float_list.value.append(image.contrast)
    feature[features.SHARPNESS].float_list.value.append(image.sharpness)
    feature[features.ENTROPY].float_list.value.append(image.entropy)
    feature[features.DESCRIPTOR].bytes_list.value.append(descriptor)
    return example
