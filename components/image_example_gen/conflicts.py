"""Copies whose classes disagree: the same picture, so that one label is wrong, or two that differ at a place."""

import functools
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from PIL import Image

from components.image_example_gen.staged_examples import Place
from components.shared.beam_results import read_rows
from crackgate.contracts import stored_example
from crackgate.contracts.label_conflict import ConflictImage, LabelConflict
from crackgate.images.copies.difference import LARGEST_SIDE, differ
from crackgate.images.image_folder import readable_path
from crackgate.pages.thumbnails import make_thumbnail

# Bounds the comparisons and the memory of a large group: each image is compared with so many of each other class.
_COMPARED = 8
# Pairs that a page shows.
_SHOWN = 24

# Path below the data folder, and place in a staging file.
StagedImage = tuple[bytes, Place]
# The pair as JSON, with its places.
Row = str


@dataclass(frozen=True)
class Conflict:
    """Two images of one group and different classes; `same` if no pixel tells them apart."""

    one: StagedImage
    other: StagedImage
    same: bool

    def row(self) -> Row:
        """JSON for `read_conflicts`."""
        sides = [[path.decode("latin-1"), asdict(place)] for path, place in sorted((self.one, self.other), key=_path)]
        return json.dumps([not self.same, *sides])


def find_conflicts(images: Iterable[StagedImage]) -> Iterator[Conflict]:
    """Compares the pixels of a group's images with those of other classes.

    An image is compared with the first 8 of each other class, in the order of their paths.
    """
    by_class: dict[str, list[StagedImage]] = {}
    for image in sorted(images, key=_path):
        by_class.setdefault(image[1].class_name, []).append(image)
    if len(by_class) < 2:
        return
    load = functools.lru_cache(maxsize=_COMPARED * len(by_class) + 1)(_load)
    compared = set()
    for own, members in by_class.items():
        for image in members:
            for other, others in by_class.items():
                for candidate in others[:_COMPARED] if other != own else ():
                    pair = tuple(sorted((image[0], candidate[0])))
                    if pair not in compared:
                        compared.add(pair)
                        yield Conflict(image, candidate, not differ(load(image[1]), load(candidate[1])))


def read_conflicts(staging: str, name: str) -> list[LabelConflict]:
    """The first 24 pairs that a finished pipeline wrote, those that were rejected first, with thumbnails."""
    rows = sorted(map(json.loads, read_rows(staging, name)), key=_rank)
    return [
        LabelConflict(one=_shown(*one), other=_shown(*other), rejected=not kept) for kept, one, other in rows[:_SHOWN]
    ]


def _rank(row: list[Any]) -> tuple[bool, str, str]:
    kept, (one, _), (other, _) = row
    return kept, one, other


def _shown(path: str, fields: dict[str, Any]) -> ConflictImage:
    place = Place(**fields)
    return ConflictImage(
        path=readable_path(path.encode("latin-1")),
        class_name=place.class_name.encode("utf-8", "backslashreplace").decode(),
        thumbnail=make_thumbnail(_encoded(place)),
    )


def _load(place: Place) -> np.ndarray:
    """Grey levels, uint8, of a staged image that is shrunk to what `differ` compares."""
    with Image.open(io.BytesIO(_encoded(place))) as image:
        grey = image.convert("L")
    if max(grey.size) > LARGEST_SIDE:
        width, height = (min(side, LARGEST_SIDE) for side in grey.size)
        grey = grey.resize((width, height), Image.Resampling.BOX)
    return np.asarray(grey)


def _encoded(place: Place) -> bytes:
    with FileSystems.open(place.file, compression_type=CompressionTypes.UNCOMPRESSED) as examples:
        examples.seek(place.offset)
        example = tf.train.Example.FromString(examples.read(place.size))
    encoded: bytes = example.features.feature[stored_example.ENCODED].bytes_list.value[0]
    return encoded


def _path(image: StagedImage) -> bytes:
    return image[0]
