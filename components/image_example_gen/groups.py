"""Groups of images that must share a split: copies of one picture, or matches of the user's pattern."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np

from components.image_example_gen.read_step import REJECTED_OUTPUT
from components.image_example_gen.staged_examples import Place, account_row
from crackgate.data_set.data_set import find_group
from crackgate.images.copies.descriptor import PICTURE_BYTES
from crackgate.images.copies.groups import GroupCopies
from crackgate.images.copies.partitions import (
    Digests,
    DigestTable,
    PictureTable,
    equal_rows,
    find_rows,
    from_bytes,
    partition,
    to_bytes,
)
from crackgate.images.copies.search import FindCopies
from crackgate.images.image_folder import readable_path

NAMES_OUTPUT = "names"

# The place of an image in a staging file, and the name of its group.
Assigned = tuple[Place, bytes]


@dataclass(frozen=True)
class ImageTable(DigestTable):
    """Staged images: paths below the data folder, and places of their examples in staging files.

    Their digests name pictures or, after grouping, the centres of their groups.
    """

    paths: list[bytes]
    places: list[Place]


class AssignGroups(beam.PTransform):
    """From the output of `ReadImages` to the groups of its images, (shard, [(place, group), ...]).

    Tagged outputs: `rejected`, rows of the account; `names`, digests of the groups' names by partition. Copies whose
    classes disagree are all rejected, since one label is wrong.

    Args:
        group_by: Pattern whose first group (or whole match) in a path names an image's group; "" to group copies.
        partitions: See `crackgate.images.copies.partitions.count_partitions`.
        batches_in_shard: Batches of images whose examples form one shard.
    """

    def __init__(self, group_by: str, partitions: int, batches_in_shard: int):
        super().__init__()
        self._group_by = group_by
        self._partitions = partitions
        self._batches_in_shard = batches_in_shard

    def expand(self, seen: beam.PCollection) -> Any:
        """Builds the transform with the outputs `assigned`, `rejected` and `names`."""
        count = self._partitions
        copies = seen | "Pictures" >> beam.Keys() | FindCopies(count)
        centres = copies["similar"] | GroupCopies(count)
        return (
            {"centres": centres, "images": seen | "ByPicture" >> beam.FlatMap(_by_picture, count)}
            | "JoinGroups" >> beam.CoGroupByKey()
            | "ByGroup" >> beam.FlatMap(_by_group, count)
            | "Members" >> beam.GroupByKey()
            | "Judge"
            >> beam.ParDo(_JudgeGroups(self._group_by, count, self._batches_in_shard)).with_outputs(
                REJECTED_OUTPUT, NAMES_OUTPUT, main="assigned"
            )
        )


def count_distinct(_number: int, digests: Iterable[Digests]) -> int:
    """Distinct groups in one partition; it is here because workers that import the executor import TFX."""
    return len(np.unique(np.concatenate(list(digests))))


def _by_picture(seen: tuple[PictureTable, list[Place]], count: int) -> Iterator[tuple[int, ImageTable]]:
    pictures, places = seen
    return ImageTable(pictures.digests, pictures.names, places).spread(count)


def _by_group(numbered: tuple[int, dict[str, list[Any]]], count: int) -> Iterator[tuple[int, ImageTable]]:
    _, joined = numbered
    images = ImageTable.merge(joined["images"])
    groups = images.digests.copy()
    order = np.argsort(groups)
    for pictures, centres in joined["centres"]:
        find_rows(groups[order], pictures)
        places = np.minimum(np.searchsorted(pictures, groups), len(pictures) - 1)
        copied = pictures[places] == groups
        groups[copied] = centres[places[copied]]
    return ImageTable(groups, images.paths, images.places).spread(count)


class _JudgeGroups(beam.DoFn):
    """From whole groups of copies to each image's place and group, or to rejections."""

    def __init__(self, group_by: str, partitions: int, batches_in_shard: int):
        self._group_by = re.compile(group_by) if group_by else None
        self._partitions = partitions
        self._batches_in_shard = batches_in_shard

    def process(self, numbered: tuple[int, Iterable[ImageTable]]) -> Iterator[Any]:
        _number, parts = numbered
        images = ImageTable.merge(parts)
        shards: dict[int, list[Assigned]] = {}
        for rows in equal_rows(images.digests):
            (digest,) = to_bytes(images.digests[rows[:1]])
            # The rejections name the first path of each class.
            first: dict[str, bytes] = {}
            for row in rows:
                path, class_name = images.paths[row], images.places[row].class_name
                first[class_name] = min(path, first.get(class_name, path))
            for row in rows:
                path, place = images.paths[row], images.places[row]
                name = self._name(digest, path, place)
                if len(first) > 1:
                    yield _conflict(path, place.class_name, first)
                elif not name:
                    yield self._nameless(path, place.class_name)
                else:
                    shards.setdefault(place.batch // self._batches_in_shard, []).append((place, name))
        yield from shards.items()
        names = {name for assigned in shards.values() for _, name in assigned}
        digests = from_bytes(hashlib.sha256(name).digest()[:PICTURE_BYTES] for name in names)
        for number, chosen in partition(digests, self._partitions):
            yield beam.pvalue.TaggedOutput(NAMES_OUTPUT, (number, digests[chosen]))

    def _name(self, digest: bytes, path: bytes, place: Place) -> bytes:
        """The name of an image's group; empty if the pattern, or its first group, matches nothing."""
        if place.group:
            return os.fsencode(place.group)
        if self._group_by is None:
            # A picture's digest, not its path, names it: a renamed image stays in its split. Copies in two given splits
            # are left to LeakCheck, which names them.
            return "-".join([digest.hex(), *place.splits]).encode()
        return find_group(self._group_by, os.fsdecode(path)).encode()

    def _nameless(self, path: bytes, class_name: str) -> beam.pvalue.TaggedOutput:
        pattern = self._group_by.pattern if self._group_by else ""
        detail = f"data.group_by {pattern!r} finds no name in the path"
        return _rejected(path, class_name, reason="no group", detail=detail)


def _conflict(path: bytes, own: str, first: dict[str, bytes]) -> beam.pvalue.TaggedOutput:
    others = sorted((other, first[other]) for other in first if other != own)
    said = ", ".join(f"{readable_path(other)!r}, as {label!r}" for label, other in others)
    detail = f"the same picture is in {said}"
    return _rejected(path, own, reason="label conflict", detail=detail)


def _rejected(path: bytes, class_name: str, **said: str) -> beam.pvalue.TaggedOutput:
    return beam.pvalue.TaggedOutput(REJECTED_OUTPUT, account_row(path, class_name, **said))
