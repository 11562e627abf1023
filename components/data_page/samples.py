"""Picking the images to show, over all splits: the extreme ones of each measure, and the largest groups."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam import combiners

from components.shared.beam_results import read_rows, write_rows
from crackgate.contracts import stored_example
from crackgate.pages.thumbnails import make_thumbnail

# What the lists are sorted by, and whether they start with its lowest (1) or its highest value (-1).
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

# Path (bytes that are no UTF-8 as surrogates; on its way through Beam as `_carried`), split, class and measures of one
# image.
Image = dict[str, Any]


@dataclass(frozen=True)
class Group:
    """A group of images that stay in one split.

    Attributes:
        name: As stored; bytes that are no UTF-8 are written out.
        size: Its images.
        members: The first of them, by path.
    """

    name: str
    size: int
    members: list[Image]


@dataclass(frozen=True)
class Samples:
    """What was picked.

    Attributes:
        extremes: Up to 12 images by each of ORDERS, the most extreme first, equal ones by path.
        groups: The up to 12 largest groups of two or more images, the largest first, equal ones by name.
    """

    extremes: dict[str, list[Image]]
    groups: list[Group]

    def paths(self) -> set[str]:
        """Of all images in it."""
        lists = [*self.extremes.values(), *(group.members for group in self.groups)]
        return {image["path"] for images in lists for image in images}


def pick_samples(pipeline: beam.Pipeline, folders: dict[str, str], results: Path) -> None:
    """Adds the search to a Beam pipeline.

    Args:
        pipeline: Yet to be run.
        folders: Where the records of each split are.
        results: Receives what `read_samples` reads.
    """
    images = _read(pipeline, folders) | "Measure" >> beam.MapTuple(_measure)
    extremes = images | "Rank" >> beam.FlatMapTuple(_rank) | "Extremes" >> combiners.Top.SmallestPerKey(LISTED)
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
    write_rows(extremes | "ExtremeRows" >> beam.MapTuple(_extreme_row), results, "extremes")
    write_rows(groups | "GroupRows" >> beam.FlatMap(_group_rows), results, "groups")


def read_samples(results: Path) -> Samples:
    """What a finished pipeline picked."""
    found = dict(read_rows(results, "extremes"))
    return Samples(
        extremes={name: _named(found.get(name, [])) for name in ORDERS},
        groups=[Group(name, size, _named(members)) for name, size, members in read_rows(results, "groups")],
    )


def make_thumbnails(pipeline: beam.Pipeline, folders: dict[str, str], paths: set[str], results: Path) -> None:
    """Adds to a Beam pipeline that the images at `paths` are made small, for `read_thumbnails`."""
    rows = _read(pipeline, folders) | "Thumbnails" >> beam.FlatMap(_thumbnail_row, frozenset(map(os.fsencode, paths)))
    write_rows(rows, results, "thumbnails")


def read_thumbnails(results: Path) -> dict[str, str]:
    """Data URIs by path."""
    return {_path(carried): thumbnail for carried, thumbnail in read_rows(results, "thumbnails")}


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


def _measure(split: str, record: bytes) -> tuple[bytes, bytes, Image]:
    """Group, path and what is shown of a stored image."""
    feature = tf.train.Example.FromString(record).features.feature
    path, group, label = (
        feature[name].bytes_list.value[0]
        for name in (stored_example.FILENAME, stored_example.GROUP, stored_example.CLASS_TEXT)
    )
    brightness, contrast, sharpness, entropy = (
        feature[name].float_list.value[0]
        for name in (
            stored_example.BRIGHTNESS,
            stored_example.CONTRAST,
            stored_example.SHARPNESS,
            stored_example.ENTROPY,
        )
    )
    width, height = (feature[name].int64_list.value[0] for name in (stored_example.WIDTH, stored_example.HEIGHT))
    image = {
        "path": _carried(path),
        "split": split,
        "class": label.decode(),
        "brightness": brightness,
        "contrast": contrast,
        "sharpness": sharpness,
        "entropy": entropy,
        "width": width,
        "height": height,
        "pixels": width * height,
    }
    return group, path, image


def _carried(path: bytes) -> str:
    """Byte by byte, since Beam's coders take no surrogates."""
    return path.decode("latin-1")


def _path(carried: str) -> str:
    return carried.encode("latin-1").decode("utf-8", "surrogateescape")


def _named(images: list[Image]) -> list[Image]:
    return [image | {"path": _path(image["path"])} for image in images]


def _rank(_group: bytes, path: bytes, image: Image) -> Iterator[tuple[str, tuple[float, bytes, Image]]]:
    for name, (measure, sign) in ORDERS.items():
        # No two paths are equal, so that images are never compared.
        yield name, (sign * image[measure], path, image)


def _extreme_row(name: str, ranked: Iterable[tuple[float, bytes, Image]]) -> tuple[str, list[Image]]:
    return name, [image for _, _, image in ranked]


def _by_group(group: bytes, path: bytes, image: Image) -> tuple[bytes, tuple[bytes, Image]]:
    return group, (path, image)


def _size(group: bytes, found: tuple[int, list[tuple[bytes, Image]]]) -> Iterator[tuple[int, bytes, list[Image]]]:
    count, members = found
    if count > 1:
        yield -count, group, [image for _, image in members]


def _group_rows(largest: Iterable[tuple[int, bytes, list[Image]]]) -> Iterator[tuple[str, int, list[Image]]]:
    for negated, group, members in largest:
        yield group.decode("utf-8", "backslashreplace"), -negated, members


def _thumbnail_row(image: tuple[str, bytes], paths: frozenset[bytes]) -> Iterator[tuple[str, str]]:
    _, record = image
    feature = tf.train.Example.FromString(record).features.feature
    path = feature[stored_example.FILENAME].bytes_list.value[0]
    if path in paths:
        yield _carried(path), make_thumbnail(feature[stored_example.ENCODED].bytes_list.value[0])
