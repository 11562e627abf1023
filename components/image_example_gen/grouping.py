"""Which images belong together, and so into one split: copies of one picture, or what the user's pattern says."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from components.copies.descriptor import picture_of
from components.copies.grouping import FindCopies, GroupCopies
from components.image_example_gen.reading import REJECTED_OUTPUT, account_row, readable_path

# Staging file, offset and size of the example.
Place = tuple[str, int, int]


class AssignGroups(beam.PTransform):
    """From what is seen of images (see `ReadImages`) to (staging file, (offset, size, group)).

    Tagged output: `rejected`, rows of the account.

    Copies whose classes disagree are rejected, all of them: one label is wrong, and which one only a person can tell.

    Args:
        group_by: Pattern for paths, whose first group (or whole match) names an image's group instead of its copies;
            "" for none.
    """

    def __init__(self, group_by: str):
        super().__init__()
        self._group_by = group_by

    def expand(self, seen: beam.PCollection) -> Any:
        """Builds the transform; the result has the outputs `assigned` and `rejected`."""
        described = seen | "Described" >> beam.MapTuple(_described)
        pairs = described | FindCopies()
        groups = (described | "Keys" >> beam.Keys(), pairs) | GroupCopies()
        return (
            {"group": groups, "image": seen | "Images" >> beam.MapTuple(_image)}
            | "JoinGroups" >> beam.CoGroupByKey()
            | "ByGroup" >> beam.FlatMapTuple(_by_group)
            | "Members" >> beam.GroupByKey()
            | "Judge" >> beam.ParDo(_JudgeGroup(self._group_by)).with_outputs(REJECTED_OUTPUT, main="assigned")
        )


class _JudgeGroup(beam.DoFn):
    """From a group of copies to the place and group of each, or to rejections."""

    def __init__(self, group_by: str):
        self._group_by = re.compile(group_by) if group_by else None

    def process(self, group: tuple[bytes, Iterable[tuple[bytes, str, Place]]]) -> Iterator[Any]:
        key, members = group
        # Of each class the first path, to be named in rejections.
        first: dict[str, bytes] = {}
        for path, class_name, _ in members:
            first[class_name] = min(path, first.get(class_name, path))
        for path, class_name, (file, offset, size) in members:
            others = sorted((other, first[other]) for other in first if other != class_name)
            name = self._name(key, path)
            if others:
                said = ", ".join(f"{readable_path(other)!r}, as {label!r}" for label, other in others)
                detail = f"the same picture is in {said}"
                yield account_row(REJECTED_OUTPUT, path, class_name, reason="label conflict", detail=detail)
            elif not name:
                pattern = self._group_by.pattern if self._group_by else ""
                detail = f"data.group_by {pattern!r} finds no name in the path"
                yield account_row(REJECTED_OUTPUT, path, class_name, reason="no group", detail=detail)
            else:
                yield file, (offset, size, name)

    def _name(self, key: bytes, path: bytes) -> bytes:
        """Empty where the pattern, or the group in it that names, matches nothing: that is no group to be in."""
        if self._group_by is None:
            # The digest of the picture alone: an image that is renamed stays in its split.
            return picture_of(key)
        match = self._group_by.search(readable_path(path))
        return (match[1 if match.re.groups else 0] or "").encode() if match else b""


def _described(key: bytes, _path: bytes, _class_name: str, descriptor: bytes, _place: Place) -> tuple[bytes, bytes]:
    return key, descriptor


def _image(
    key: bytes, path: bytes, class_name: str, _descriptor: bytes, place: Place
) -> tuple[bytes, tuple[bytes, str, Place]]:
    return key, (path, class_name, place)


def _by_group(_key: bytes, joined: dict[str, list[Any]]) -> Iterator[tuple[bytes, tuple[bytes, str, Place]]]:
    ((group,), (image,)) = joined["group"], joined["image"]
    yield group, image
