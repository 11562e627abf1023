"""A batch of files as staged examples with descriptors, or as rejections."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

import tensorflow as tf

from crackgate.contracts import stored_example
from crackgate.contracts.account import NOT_IN_CLASS_FOLDER
from crackgate.contracts.image_limits import ImageLimits
from crackgate.data_set.data_set import ListedImage
from crackgate.images.copies.descriptor import describe_all
from crackgate.images.image_file import CanonicalImage, canonical_image
from crackgate.images.image_folder import read_source, readable_path
from crackgate.images.quality import Quality, measure
from crackgate.images.rejection import RejectedImageError
from crackgate.storage.location import Location, below

# Each step is done for many images before the next one: its code stays in the processor's cache, which saves a fifth of
# the time. Photographs of megabytes wait in smaller numbers.
_IMAGES_WAITING, _BYTES_WAITING = 32, 8_000_000

# An `AccountRow` as JSON.
Row = dict[str, str]


@dataclass(frozen=True)
class Place:
    """The place of an example in a staging file, and what is known of its image without its pixels.

    Attributes:
        batch: Number of its batch.
        file: Path of the staging file.
        offset: Bytes before it.
        size: Bytes.
        class_name: The class.
        splits: See `ListedImage`, as of `group`.
    """

    batch: int
    file: str
    offset: int
    size: int
    class_name: str
    splits: tuple[str, ...]
    group: str


@dataclass(frozen=True)
class Staged:
    """The outcome of a batch; the first three lists go together, image by image.

    Attributes:
        names: Paths of the images below the data folder.
        descriptors: See `crackgate.images.copies.descriptor`.
        places: Places of serialized `tf.train.Example`s, still without a group.
        rejected: Rows of the account, as are `warnings`.
    """

    names: list[bytes] = field(default_factory=list)
    descriptors: list[bytes] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)
    warnings: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class _Waiting:
    """An image that is not measured and described yet."""

    listed: ListedImage
    image: CanonicalImage


@dataclass(frozen=True)
class Reader:
    """Reads images of one data folder; `labels` are by class name."""

    folder: Location
    labels: dict[str, int]
    limits: ImageLimits

    def stage(self, number: int, images: Iterable[ListedImage], file: str, content: BinaryIO) -> Staged:
        """Reads a batch into the open staging file `content`; no image's content or faults make it raise.

        Raises StorageError where the store of the images cannot be used any longer.
        """
        staged = Staged()
        waiting: list[_Waiting] = []
        size = 0
        for listed in images:
            path, class_name = os.fsencode(listed.path), listed.class_name
            try:
                image = self._read(path, class_name)
            except RejectedImageError as rejection:
                staged.rejected.append(account_row(path, class_name, reason=rejection.reason, detail=rejection.detail))
                continue
            waiting.append(_Waiting(listed, image))
            if image.warning:
                staged.warnings.append(account_row(path, class_name, reason=image.warning))
            size += len(image.encoded) + image.luma.nbytes
            # Its pixels would wait for the next ones.
            del image
            if len(waiting) == _IMAGES_WAITING or size > _BYTES_WAITING:
                self._write(waiting, staged, number, file, content)
                waiting, size = [], 0
        self._write(waiting, staged, number, file, content)
        return staged

    def _read(self, path: bytes, class_name: str) -> CanonicalImage:
        if class_name not in self.labels:
            raise RejectedImageError(NOT_IN_CLASS_FOLDER, f"the classes are {', '.join(self.labels)}")
        try:
            data = read_source(below(self.folder, os.fsdecode(path)), self.limits.max_bytes)
        except OSError as error:
            raise RejectedImageError("unreadable", error.strerror or str(error)) from None
        return canonical_image(data, self.limits)

    def _write(self, waiting: list[_Waiting], staged: Staged, number: int, file: str, content: BinaryIO) -> None:
        """Describes images, appends their examples to the file `content`, and notes their places in `staged`."""
        offset = staged.places[-1].offset + staged.places[-1].size if staged.places else 0
        qualities = [measure(each.image.luma) for each in waiting]
        descriptors = describe_all([each.image.luma for each in waiting])
        for each, quality, descriptor in zip(waiting, qualities, descriptors, strict=True):
            listed = each.listed
            example = _to_example(listed, self.labels[listed.class_name], each.image, quality, descriptor)
            content.write(example)
            staged.names.append(os.fsencode(listed.path))
            staged.places.append(
                Place(number, file, offset, len(example), listed.class_name, listed.splits, listed.group)
            )
            offset += len(example)
        staged.descriptors.extend(descriptors)


def account_row(path: bytes, class_name: str, **said: str) -> Row:
    """A row about a file, in valid UTF-8."""
    return {
        "path": readable_path(path),
        "class": class_name.encode("utf-8", "backslashreplace").decode(),
        **said,
    }


def _to_example(listed: ListedImage, label: int, image: CanonicalImage, quality: Quality, descriptor: bytes) -> bytes:
    """A serialized `tf.train.Example`."""
    # It is filled in place: one message per feature takes three times as long.
    example = tf.train.Example()
    feature = example.features.feature
    feature[stored_example.ENCODED].bytes_list.value.append(image.encoded)
    feature[stored_example.FORMAT].bytes_list.value.append(image.format.encode())
    feature[stored_example.BYTES].int64_list.value.append(image.file_bytes)
    feature[stored_example.FILE_FORMAT].bytes_list.value.append(image.file_format.encode())
    feature[stored_example.CAMERA].bytes_list.value.append(image.camera.encode())
    feature[stored_example.HEIGHT].int64_list.value.append(image.height)
    feature[stored_example.WIDTH].int64_list.value.append(image.width)
    feature[stored_example.FILENAME].bytes_list.value.append(os.fsencode(listed.path))
    feature[stored_example.CLASS_TEXT].bytes_list.value.append(listed.class_name.encode())
    feature[stored_example.CLASS_LABEL].int64_list.value.append(label)
    feature[stored_example.BRIGHTNESS].float_list.value.append(quality.brightness)
    feature[stored_example.CONTRAST].float_list.value.append(quality.contrast)
    feature[stored_example.SHARPNESS].float_list.value.append(quality.sharpness)
    feature[stored_example.ENTROPY].float_list.value.append(quality.entropy)
    feature[stored_example.DESCRIPTOR].bytes_list.value.append(descriptor)
    if listed.part:
        feature[stored_example.PART].bytes_list.value.append(os.fsencode(listed.part))
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized
