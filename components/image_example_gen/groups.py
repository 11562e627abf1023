"""Groups of images that must share a split: copies, images that overlap, or matches of the user's pattern."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np

from components.image_example_gen.account_rows import REJECTED, ROWS_OUTPUT, WARNING
from components.image_example_gen.conflicts import Conflict, StagedImage, find_conflicts
from components.image_example_gen.read_step import StagedBatch
from components.image_example_gen.staged_examples import Place, account_row
from crackgate.config.data import DataOptions
from crackgate.contracts.account import LABEL_CONFLICT, LISTED_MEMBERS
from crackgate.data_set.data_set import find_group
from crackgate.images.copies.descriptor import PICTURE_BYTES
from crackgate.images.copies.groups import GroupCopies
from crackgate.images.copies.partitions import (
    DIGESTS_AT_ONCE,
    Digests,
    DigestTable,
    equal_rows,
    find_rows,
    from_bytes,
    messages,
    partition,
    to_bytes,
    told_apart,
)
from crackgate.images.copies.search import COPIES, OVERLAPS, FindPairs
from crackgate.images.image_folder import readable_path

NAMES_OUTPUT = "names"
CONFLICTS_OUTPUT = "conflicts"
OVERLAPS_OUTPUT = "overlaps"


@dataclass(frozen=True)
class AssignedImages:
    """The places of images in staging files, and the names of their groups."""

    places: list[Place]
    names: list[bytes]


@dataclass(frozen=True)
class ImageTable(DigestTable):
    """Staged images: paths below the data folder, and places of their examples in staging files.

    Their digests name pictures or, after grouping, the centres of their groups. So do `copies`, of the copies alone.
    """

    copies: Digests
    paths: list[bytes]
    places: list[Place]


class AssignGroups(beam.PTransform):
    """From the output of `ReadImages` to the groups of its images, (shard, `AssignedImages`).

    Tagged outputs: `rows` of the account, see `write_account_rows`; `names`, digests of the groups' names by partition;
    `conflicts`, rows for `conflicts.read_conflicts`; `overlaps`, the size and first images of each group that overlaps.
    Copies whose classes disagree are rejected if they are one picture everywhere, since one label is wrong. If they
    differ at a place, they stay, in one group and with a warning.

    Args:
        options: Its `group_by` names groups, and its `copies` says whether to find copies.
        partitions: See `crackgate.images.copies.partitions.count_partitions`.
        batches_in_shard: Batches of images whose examples form one shard.
        staging: Folder for descriptors and pairs, until the pipeline ends.
    """

    def __init__(self, options: DataOptions, partitions: int, batches_in_shard: int, staging: str):
        super().__init__()
        self._options = options
        self._partitions = partitions
        self._batches_in_shard = batches_in_shard
        self._staging = staging

    def expand(self, seen: beam.PCollection) -> Any:
        """Builds the transform with `assigned` and the tagged outputs."""
        count = self._partitions
        joined = [seen | "ByPicture" >> beam.FlatMap(_by_picture, count)]
        if self._options.copies == "group":
            pairs = seen | FindPairs(count, self._staging, COPIES, OVERLAPS)
            alike = (pairs[COPIES.name], pairs[OVERLAPS.name]) | "CopiesAndOverlaps" >> beam.Flatten()
            joined.append(alike | GroupCopies(count, self._staging))
        return (
            joined
            | "ImagesAndCentres" >> beam.Flatten()
            | "JoinGroups" >> beam.GroupByKey()
            | "ByGroup" >> beam.FlatMap(_by_group, count)
            | "Members" >> beam.GroupByKey()
            | "Judge"
            >> beam.ParDo(_JudgeGroups(self._options, count, self._batches_in_shard)).with_outputs(
                ROWS_OUTPUT, NAMES_OUTPUT, CONFLICTS_OUTPUT, OVERLAPS_OUTPUT, main="assigned"
            )
        )


def count_distinct(_number: int, digests: Iterable[Digests]) -> int:
    """Distinct groups in one partition; it is here because workers that import the executor import TFX."""
    return len(np.unique(np.concatenate(list(digests))))


def _by_picture(batch: StagedBatch, count: int) -> Iterator[tuple[int, ImageTable]]:
    return ImageTable(batch.digests, batch.digests, batch.names, batch.places).spread(count)


def _by_group(numbered: tuple[int, Iterable[Any]], count: int) -> Iterator[tuple[int, ImageTable]]:
    tables, parts = told_apart(numbered[1], ImageTable)
    images = ImageTable.merge(tables)
    digests, order = images.digests, np.argsort(images.digests)
    groups, copies = digests.copy(), digests.copy()
    for pictures, *centres in parts:
        find_rows(digests[order], pictures)
        places = np.minimum(np.searchsorted(pictures, digests), len(pictures) - 1)
        tied = pictures[places] == digests
        groups[tied], copies[tied] = (of_tied[places[tied]] for of_tied in centres)
    return ImageTable(groups, copies, images.paths, images.places).spread(count)


class _JudgeGroups(beam.DoFn):
    """From whole groups of copies to each image's place and group, or to rejections."""

    def __init__(self, options: DataOptions, partitions: int, batches_in_shard: int):
        self._group_by = re.compile(options.group_by) if options.group_by else None
        self._judges_labels = options.copies == "group"
        self._partitions = partitions
        self._batches_in_shard = batches_in_shard

    def process(self, numbered: tuple[int, Iterable[ImageTable]]) -> Iterator[Any]:
        _number, parts = numbered
        images = ImageTable.merge(parts)
        shards: dict[int, AssignedImages] = {}
        digests = to_bytes(images.digests)
        for rows in equal_rows(images.digests):
            digest = digests[rows[0]]
            members = [(images.paths[row], images.places[row]) for row in rows.tolist()]
            conflicts = []
            if self._judges_labels and len(members) > 1:
                # Images that overlap may well differ in their class.
                copies = [[members[row] for row in of_one] for of_one in equal_rows(images.copies[rows])]
                if len(copies) > 1:
                    firsts = sorted(min(path for path, _ in of_one) for of_one in copies)
                    shown = [readable_path(path) for path in firsts[:LISTED_MEMBERS]]
                    yield beam.pvalue.TaggedOutput(OVERLAPS_OUTPUT, (len(members), shown))
                conflicts = [conflict for of_one in copies for conflict in find_conflicts(of_one)]
            yield from (beam.pvalue.TaggedOutput(CONFLICTS_OUTPUT, conflict.row()) for conflict in conflicts)
            same, alike = (_others(conflicts, kind) for kind in (True, False))
            for path, place in members:
                name = self._name(digest, path, place)
                if path in same:
                    detail = f"the same picture is in {_say(same[path])}"
                    yield _row(REJECTED, path, place, LABEL_CONFLICT, detail)
                elif not name:
                    yield self._nameless(path, place)
                else:
                    if path in alike:
                        detail = f"it resembles {_say(alike[path])}, and differs at a place: see the data page"
                        yield _row(WARNING, path, place, "like an image of another class", detail)
                    assigned = shards.setdefault(place.batch // self._batches_in_shard, AssignedImages([], []))
                    assigned.places.append(place)
                    assigned.names.append(name)
        yield from shards.items()
        names = {name for assigned in shards.values() for name in assigned.names}
        named = from_bytes(hashlib.sha256(name).digest()[:PICTURE_BYTES] for name in names)
        for number, chosen in partition(named, self._partitions):
            for part in messages(chosen, DIGESTS_AT_ONCE):
                yield beam.pvalue.TaggedOutput(NAMES_OUTPUT, (number, named[part]))

    def _name(self, digest: bytes, path: bytes, place: Place) -> bytes:
        """The name of an image's group; empty if the pattern, or its first group, matches nothing."""
        if place.group:
            return os.fsencode(place.group)
        if self._group_by is None:
            # A picture's digest, not its path, names it: a renamed image stays in its split. Copies in two given splits
            # are left to LeakCheck, which names them.
            return "-".join([digest.hex(), *place.splits]).encode()
        return find_group(self._group_by, os.fsdecode(path)).encode()

    def _nameless(self, path: bytes, place: Place) -> beam.pvalue.TaggedOutput:
        pattern = self._group_by.pattern if self._group_by else ""
        detail = f"data.group_by {pattern!r} finds no name in the path"
        return _row(REJECTED, path, place, "no group", detail)


def _others(conflicts: Iterable[Conflict], same: bool) -> dict[bytes, dict[str, bytes]]:
    """By path: the first path of each other class that is the same, or is only alike."""
    found: dict[bytes, dict[str, bytes]] = {}
    for conflict in conflicts:
        if conflict.same == same:
            _note(found, conflict.one, conflict.other)
            _note(found, conflict.other, conflict.one)
    return found


def _note(found: dict[bytes, dict[str, bytes]], one: StagedImage, other: StagedImage) -> None:
    (path, _), (counterpart, place) = one, other
    by_class = found.setdefault(path, {})
    by_class[place.class_name] = min(counterpart, by_class.get(place.class_name, counterpart))


def _say(by_class: dict[str, bytes]) -> str:
    return ", ".join(f"{readable_path(path)!r}, as {label!r}" for label, path in sorted(by_class.items()))


def _row(outcome: str, path: bytes, place: Place, reason: str, detail: str) -> beam.pvalue.TaggedOutput:
    row = account_row(path, place.class_name, reason=reason, detail=detail)
    return beam.pvalue.TaggedOutput(ROWS_OUTPUT, (outcome, row))
