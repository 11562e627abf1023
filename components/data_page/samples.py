"""The images to show, from all splits: the outliers of each measure, and the largest groups."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam import combiners

from components.shared.beam_results import read_rows, write_rows
from crackgate.contracts import stored_example
from crackgate.images.image_folder import readable_path
from crackgate.pages.thumbnails import make_thumbnail

# The measure that sorts a list, and whether the lowest (1) or the highest value (-1) is first.
ORDERS = {
    "darkest": ("brightness", 1),
    "brightest": ("brightness", -1),
    "lowest contrast": ("contrast", 1),
    "blurriest": ("sharpness", 1),
    "sharpest": ("sharpness", -1),
    "lowest entropy": ("entropy", 1),
    "smallest": ("pixels", 1),
    "largest": ("pixels", -1),
}
LISTED = 12
MEMBERS = 6

# A `SampledImage` as JSON.
Row = dict[str, Any]


@dataclass(frozen=True)
class SampledImage:
    """One image; its measures are those of the stored example (see `contracts.stored_example`)."""

    path: bytes
    split: str
    class_name: str
    brightness: float
    contrast: float
    sharpness: float
    entropy: float
    width: int
    height: int
    file_bytes: int
    file_format: str
    camera: str

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height


@dataclass(frozen=True)
class Group:
    """`size` images that stay in one split; `members` are the first by path.

    `name` is as stored, with escapes for bytes that are no UTF-8.
    """

    name: str
    size: int
    members: list[SampledImage]


@dataclass(frozen=True)
class Samples:
    """The images to show, equal ones by path or name.

    Attributes:
        outliers: Up to 12 images by each of ORDERS, the most extreme first.
        groups: Up to 12 groups of two or more images, the largest first.
    """

    outliers: dict[str, list[SampledImage]]
    groups: list[Group]

    def paths(self) -> frozenset[bytes]:
        """Paths of all these images."""
        lists = [*self.outliers.values(), *(group.members for group in self.groups)]
        return frozenset(image.path for images in lists for image in images)


def measure_images(pipeline: beam.Pipeline, folders: dict[str, str]) -> beam.PCollection:
    """(Group name, `SampledImage`) of every image; `folders` hold each split's records."""
    return _read(pipeline, folders) | "Measure" >> beam.MapTuple(_measure)


def pick_samples(images: beam.PCollection, results: str) -> None:
    """Adds the search among `measure_images` to a Beam pipeline; `results` is for `read_samples`."""
    outliers = images | "Rank" >> beam.FlatMapTuple(_rank) | "Outliers" >> combiners.Top.SmallestPerKey(LISTED)
    first = combiners.SingleInputTupleCombineFn(
        combiners.CountCombineFn(), combiners.TopCombineFn(MEMBERS, reverse=True)
    )
    groups = (
        images
        | "ByGroup" >> beam.MapTuple(_by_group)
        | "FirstOfGroup" >> beam.CombinePerKey(first)
        | "Sizes" >> beam.FlatMapTuple(_size)
        | "LargestGroups" >> combiners.Top.Smallest(LISTED)
    )
    write_rows(outliers | "OutlierRows" >> beam.MapTuple(_outlier_row), results, "outliers")
    write_rows(groups | "GroupRows" >> beam.FlatMap(_group_rows), results, "groups")


def read_samples(results: str) -> Samples:
    """The images that a finished pipeline picked."""
    found = dict(read_rows(results, "outliers"))
    return Samples(
        outliers={name: _from_rows(found.get(name, [])) for name in ORDERS},
        groups=[Group(name, size, _from_rows(members)) for name, size, members in read_rows(results, "groups")],
    )


def make_thumbnails(pipeline: beam.Pipeline, folders: dict[str, str], paths: frozenset[bytes], results: str) -> None:
    """Adds thumbnails of the images at `paths` to a Beam pipeline, for `read_thumbnails`."""
    rows = _read(pipeline, folders) | "Thumbnails" >> beam.FlatMap(_thumbnail_row, paths)
    write_rows(rows, results, "thumbnails")


def read_thumbnails(results: str) -> dict[bytes, str]:
    """Data URIs by path."""
    return {path.encode("latin-1"): thumbnail for path, thumbnail in read_rows(results, "thumbnails")}


def _read(pipeline: beam.Pipeline, folders: dict[str, str]) -> beam.PCollection:
    """(Split, record) of every image."""
    splits = tuple(
        pipeline
        | f"Read[{split}]" >> beam.io.ReadFromTFRecord(f"{folder}/*")
        | f"Tag[{split}]" >> beam.Map(_tag, split)
        for split, folder in folders.items()
    )
    return splits | beam.Flatten()


def _tag(record: bytes, split: str) -> tuple[str, bytes]:
    return split, record


def _measure(split: str, record: bytes) -> tuple[bytes, SampledImage]:
    """Group name and measures of a stored image."""
    feature = tf.train.Example.FromString(record).features.feature
    return feature[stored_example.GROUP].bytes_list.value[0], SampledImage(
        path=feature[stored_example.FILENAME].bytes_list.value[0],
        split=split,
        class_name=feature[stored_example.CLASS_TEXT].bytes_list.value[0].decode(),
        brightness=feature[stored_example.BRIGHTNESS].float_list.value[0],
        contrast=feature[stored_example.CONTRAST].float_list.value[0],
        sharpness=feature[stored_example.SHARPNESS].float_list.value[0],
        entropy=feature[stored_example.ENTROPY].float_list.value[0],
        width=feature[stored_example.WIDTH].int64_list.value[0],
        height=feature[stored_example.HEIGHT].int64_list.value[0],
        file_bytes=feature[stored_example.BYTES].int64_list.value[0],
        file_format=feature[stored_example.FILE_FORMAT].bytes_list.value[0].decode(),
        camera=feature[stored_example.CAMERA].bytes_list.value[0].decode(),
    )


def _rank(_group: bytes, image: SampledImage) -> Iterator[tuple[str, tuple[float, bytes, SampledImage]]]:
    for name, (measure, sign) in ORDERS.items():
        # No two paths are equal, so that images are never compared.
        yield name, (sign * getattr(image, measure), image.path, image)


def _outlier_row(name: str, ranked: Iterable[tuple[float, bytes, SampledImage]]) -> tuple[str, list[Row]]:
    return name, [_to_row(image) for _, _, image in ranked]


def _by_group(group: bytes, image: SampledImage) -> tuple[bytes, tuple[bytes, SampledImage]]:
    return group, (image.path, image)


def _size(
    group: bytes, found: tuple[int, list[tuple[bytes, SampledImage]]]
) -> Iterator[tuple[int, bytes, list[SampledImage]]]:
    count, members = found
    if count > 1:
        yield -count, group, [image for _, image in members]


def _group_rows(largest: Iterable[tuple[int, bytes, list[SampledImage]]]) -> Iterator[tuple[str, int, list[Row]]]:
    for negated, group, members in largest:
        yield readable_path(group), -negated, [_to_row(image) for image in members]


def _thumbnail_row(image: tuple[str, bytes], paths: frozenset[bytes]) -> Iterator[tuple[str, str]]:
    _, record = image
    feature = tf.train.Example.FromString(record).features.feature
    path = feature[stored_example.FILENAME].bytes_list.value[0]
    if path in paths:
        yield path.decode("latin-1"), make_thumbnail(feature[stored_example.ENCODED].bytes_list.value[0])


def _to_row(image: SampledImage) -> Row:
    # Latin-1 keeps every byte: JSON and Beam's coders take no bytes.
    return asdict(image) | {"path": image.path.decode("latin-1")}


def _from_rows(rows: list[Row]) -> list[SampledImage]:
    return [SampledImage(**row | {"path": row["path"].encode("latin-1")}) for row in rows]
