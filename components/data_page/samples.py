"""The images to show, from all splits: the outliers of each measure, and the largest groups."""

import bisect
import itertools
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
# All that is read of an example.
SHOWN_FEATURES = (
    stored_example.ENCODED,
    stored_example.FILENAME,
    stored_example.GROUP,
    stored_example.CLASS_TEXT,
    stored_example.BRIGHTNESS,
    stored_example.CONTRAST,
    stored_example.SHARPNESS,
    stored_example.ENTROPY,
    stored_example.WIDTH,
    stored_example.HEIGHT,
    stored_example.BYTES,
    stored_example.FILE_FORMAT,
    stored_example.CAMERA,
)
LISTED = 12
MEMBERS = 6

# Bytes as Latin-1, which keeps each of them: JSON takes no bytes.
Text = str


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
        overlaps: Images that overlap, of each of the groups that an account lists.
    """

    outliers: dict[str, list[SampledImage]]
    groups: list[Group]
    overlaps: list[list[SampledImage]]


@dataclass(frozen=True)
class Picks:
    """The paths of the images to show: outliers by each of ORDERS, and groups with name, size and first members."""

    outliers: dict[str, list[bytes]]
    groups: list[tuple[str, int, list[bytes]]]

    def paths(self) -> frozenset[bytes]:
        """All these paths."""
        return frozenset(itertools.chain(*self.outliers.values(), *(members for _, _, members in self.groups)))


def measure_images(pipeline: beam.Pipeline, folders: dict[str, str]) -> beam.PCollection:
    """(Group name, `SampledImage`) of every image; `folders` hold each split's records."""
    return _read(pipeline, folders, beam.Map(_measure))


def pick_samples(images: beam.PCollection, results: str) -> None:
    """Adds the search among `measure_images` to a Beam pipeline; `results` is for `read_picks`."""
    outliers = images | beam.Values() | "Outliers" >> beam.CombineGlobally(_Outliers()).without_defaults()
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
    write_rows({"outliers": outliers, "groups": groups | "GroupRows" >> beam.FlatMap(_group_rows)}, results)


def read_picks(results: str) -> Picks:
    """The images that a finished pipeline picked."""
    outliers = {name: _bytes(paths) for row in read_rows(results, "outliers") for name, paths in row.items()}
    groups = [(name, size, _bytes(members)) for name, size, members in read_rows(results, "groups")]
    return Picks({name: outliers.get(name, []) for name in ORDERS}, groups)


def show_images(
    pipeline: beam.Pipeline, folders: dict[str, str], picks: Picks, overlapping: list[list[str]], results: str
) -> None:
    """Adds measures and thumbnails of the images to a Beam pipeline; `results` is for `read_samples`."""
    names = frozenset(itertools.chain(*overlapping))
    write_rows({"shown": _read(pipeline, folders, beam.FlatMap(_show, picks.paths(), names))}, results)


def read_samples(picks: Picks, overlapping: list[list[str]], results: str) -> Samples:
    """The picked images and those that overlap, as a finished pipeline showed them."""
    images = {image.path: image for image in (_from_row(row) for row, _ in read_rows(results, "shown"))}
    named = {readable_path(path): image for path, image in images.items()}
    return Samples(
        outliers={name: [images[path] for path in paths] for name, paths in picks.outliers.items()},
        groups=[Group(name, size, [images[path] for path in members]) for name, size, members in picks.groups],
        # Images may have been rejected since, for their labels.
        overlaps=[found for names in overlapping if len(found := [named[name] for name in names if name in named]) > 1],
    )


def read_thumbnails(results: str) -> dict[bytes, str]:
    """Data URIs of the shown images by path."""
    return {_from_row(row).path: thumbnail for row, thumbnail in read_rows(results, "shown")}


def _read(pipeline: beam.Pipeline, folders: dict[str, str], work: beam.PTransform) -> beam.PCollection:
    """Does the work on every image, (split, record), and puts the outcomes of all splits together."""
    # Work comes before the splits meet: there a runner keeps all elements, and records would take gigabytes.
    splits = tuple(
        pipeline
        | f"Read[{split}]" >> beam.io.ReadFromTFRecord(f"{folder}/*")
        | f"Tag[{split}]" >> beam.Map(_tag, split)
        | f"Work[{split}]" >> work
        for split, folder in folders.items()
    )
    return splits | beam.Flatten()


def _tag(record: bytes, split: str) -> tuple[str, bytes]:
    return split, record


def _measure(stored: tuple[str, bytes]) -> tuple[bytes, SampledImage]:
    """Group name and measures of a stored image."""
    split, record = stored
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


# By the name of an order: values that rise, and paths.
_Ranked = dict[str, list[tuple[float, bytes]]]


class _Outliers(beam.CombineFn):
    """From images to the paths of the first ones in each order, so that no image travels once for each of them."""

    def create_accumulator(self) -> _Ranked:
        return {name: [] for name in ORDERS}

    def add_input(self, ranked: _Ranked, image: SampledImage) -> _Ranked:
        for name, (measure, sign) in ORDERS.items():
            first, found = ranked[name], (sign * getattr(image, measure), image.path)
            if len(first) < LISTED or found < first[-1]:
                bisect.insort(first, found)
                del first[LISTED:]
        return ranked

    def merge_accumulators(self, parts: Iterable[_Ranked]) -> _Ranked:
        merged = self.create_accumulator()
        for part in parts:
            merged = {name: sorted(merged[name] + part[name])[:LISTED] for name in ORDERS}
        return merged

    def extract_output(self, ranked: _Ranked) -> dict[str, list[Text]]:
        return {name: [_text(path) for _, path in first] for name, first in ranked.items()}


def _by_group(group: bytes, image: SampledImage) -> tuple[bytes, bytes]:
    return group, image.path


def _size(group: bytes, found: tuple[int, list[bytes]]) -> Iterator[tuple[int, bytes, list[bytes]]]:
    count, members = found
    if count > 1:
        yield -count, group, members


def _group_rows(largest: Iterable[tuple[int, bytes, list[bytes]]]) -> Iterator[tuple[str, int, list[Text]]]:
    for negated, group, members in largest:
        yield readable_path(group), -negated, [_text(path) for path in members]


def _show(
    stored: tuple[str, bytes], paths: frozenset[bytes], names: frozenset[str]
) -> Iterator[tuple[dict[str, Any], str]]:
    """The image as JSON, and its thumbnail."""
    feature = tf.train.Example.FromString(stored[1]).features.feature
    path = feature[stored_example.FILENAME].bytes_list.value[0]
    if path in paths or readable_path(path) in names:
        _, image = _measure(stored)
        thumbnail = make_thumbnail(feature[stored_example.ENCODED].bytes_list.value[0])
        yield asdict(image) | {"path": _text(image.path)}, thumbnail


def _from_row(row: dict[str, Any]) -> SampledImage:
    return SampledImage(**row | {"path": row["path"].encode("latin-1")})


def _text(path: bytes) -> Text:
    return path.decode("latin-1")


def _bytes(paths: list[Text]) -> list[bytes]:
    return [path.encode("latin-1") for path in paths]
