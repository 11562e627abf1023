"""The work of LeakCheck, which finds

    {"pairs": 3412, "leaks": 1, "examples": [["train: Positive/a.jpg", "test: Positive/b.jpg"]],
     "groups_in_two_splits": 0, "overlaps": 1, "overlap_examples": [["test: c/f_2.jpg", "train: c/f_1.jpg"]]}

`pairs` counts the pairs of copies, `leaks` those of them that cross splits. `overlaps` counts pairs of images that
overlap and cross splits. Ingest has such images in one split, except where splits are given or groups are named.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components.shared.beam_results import read_rows, write_rows
from components.shared.example_features import check_features
from components.shared.json_value import write_json
from components.shared.parameters import Artifacts, Properties
from crackgate.contracts import stored_example
from crackgate.contracts.errors import DataRejectedError
from crackgate.images.copies.descriptor import PICTURE_BYTES
from crackgate.images.copies.partitions import PictureTable, count_partitions, pack
from crackgate.images.copies.search import COPIES, OVERLAPS, SAME_OUTPUT, FindPairs, Pairs

# Name, descriptor and group of an image.
_FEATURES = (stored_example.FILENAME, stored_example.DESCRIPTOR, stored_example.GROUP)
_SHOWN = 20
_BATCH = 512
# Size of a stored example, for an estimate of their number to the right order.
_TYPICAL_BYTES = 10_000
# The name of a group of copies and overlaps alone; others end in a given split, or are a user's.
_FOUND_GROUP = re.compile(rb"[0-9a-f]{%d}" % (2 * PICTURE_BYTES))

Names = tuple[bytes, bytes]


class LeakCheckExecutor(base_beam_executor.BaseBeamExecutor):
    """Finds copies among all splits together."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties) -> None:  # noqa: N802
        """Writes the findings; raises DataRejectedError, with the pairs, if copies or a group are in two splits.

        With `copies` "ignore", copies in two splits are only counted.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(input_dict["examples"])
        check_features(artifact, _FEATURES)
        results = self._get_tmp_dir()
        with self._make_beam_pipeline() as pipeline:
            _look_for_leaks(pipeline, artifact, results)
        leaks, straddling = sorted(read_rows(results, "leaks")), read_rows(results, "straddling")
        (pairs,) = read_rows(results, "pairs")
        # A pair may be found several times where one of its pictures has several names.
        overlaps = sorted(set(map(tuple, read_rows(results, "overlaps"))))
        findings = {
            "pairs": pairs,
            "leaks": len(leaks),
            "examples": leaks[:_SHOWN],
            "groups_in_two_splits": len(straddling),
            "overlaps": len(overlaps),
            "overlap_examples": overlaps[:_SHOWN],
        }
        refused = leaks and exec_properties["copies"] == "group"
        if refused or straddling:
            raise DataRejectedError(_describe(findings))
        write_json(artifact_utils.get_single_instance(output_dict["findings"]), findings)


def _look_for_leaks(pipeline: beam.Pipeline, artifact: types.Artifact, results: str) -> None:
    splits = artifact_utils.decode_split_names(artifact.split_names)
    patterns = {split: f"{artifact_utils.get_split_uri([artifact], split)}/*" for split in splits}
    partitions = count_partitions(_estimate_images(patterns.values()))
    images = [
        pipeline
        | f"Read[{split}]" >> beam.io.ReadFromTFRecord(pattern)
        | f"Parse[{split}]" >> beam.Map(_parse, split)
        | f"Batch[{split}]" >> beam.BatchElements(_BATCH, _BATCH)
        for split, pattern in patterns.items()
    ] | beam.Flatten()
    copies = images | "Pictures" >> beam.Map(_pack) | FindPairs(partitions, results, COPIES)
    pairs = (copies[COPIES.name] | "Names" >> beam.Map(_names), copies[SAME_OUTPUT]) | "Copies" >> beam.Flatten()
    overlaps = images | "Chosen" >> beam.FlatMap(_pack_chosen) | "Overlaps" >> FindPairs(partitions, results, OVERLAPS)
    straddling = (
        images
        | "Groups" >> beam.FlatMap(_groups_and_splits, partitions)
        | "SplitsOfGroups" >> beam.GroupByKey()
        | "Straddling" >> beam.FlatMapTuple(_straddling)
    )
    rows = {
        "leaks": pairs | "Leaks" >> beam.FlatMap(_leaks),
        "pairs": pairs | beam.Map(len) | beam.CombineGlobally(sum),
        "straddling": straddling,
        "overlaps": overlaps[OVERLAPS.name] | "OverlapNames" >> beam.Map(_names) | "Across" >> beam.FlatMap(_leaks),
    }
    write_rows(rows, results)


def _estimate_images(patterns: Iterable[str]) -> int:
    matches = beam.io.filesystems.FileSystems.match(list(patterns))
    return sum(file.size_in_bytes for match in matches for file in match.metadata_list) // _TYPICAL_BYTES


def _parse(record: bytes, split: str) -> tuple[bytes, bytes, bytes]:
    """Name (split, "/", path), descriptor and group of a stored example."""
    feature = tf.train.Example.FromString(record).features.feature
    path, descriptor, group = (feature[name].bytes_list.value[0] for name in _FEATURES)
    return split.encode() + b"/" + path, descriptor, group


def _pack(images: list[tuple[bytes, bytes, bytes]]) -> PictureTable:
    return pack([descriptor for _, descriptor, _ in images], [name for name, _, _ in images])


def _pack_chosen(images: list[tuple[bytes, bytes, bytes]]) -> Iterator[PictureTable]:
    """The pictures in groups that somebody chose; ingest has put the overlaps among the others into one split."""
    chosen = [image for image in images if not _FOUND_GROUP.fullmatch(image[2])]
    if chosen:
        yield _pack(chosen)


def _names(pairs: Pairs) -> list[Names]:
    return pairs.names


def _groups_and_splits(
    images: list[tuple[bytes, bytes, bytes]], partitions: int
) -> Iterator[tuple[int, set[tuple[bytes, bytes]]]]:
    """Pairs of group and split, by partition of the group."""
    parts: dict[int, set[tuple[bytes, bytes]]] = {}
    for name, _, group in images:
        parts.setdefault(stored_example.digest(group) % partitions, set()).add((group, _split_of(name)))
    yield from parts.items()


def _straddling(_number: int, parts: Iterable[set[tuple[bytes, bytes]]]) -> Iterator[str]:
    splits = Counter(group for group, _ in set().union(*parts))
    for group, count in splits.items():
        if count > 1:
            yield group.decode("utf-8", "backslashreplace")


def _leaks(pairs: list[Names]) -> Iterator[list[str]]:
    for one, other in pairs:
        if _split_of(one) != _split_of(other):
            yield sorted(name.replace(b"/", b": ", 1).decode("utf-8", "backslashreplace") for name in (one, other))


def _split_of(name: bytes) -> bytes:
    return name.partition(b"/")[0]


def _describe(findings: dict[str, Any]) -> list[str]:
    reasons = []
    if findings["leaks"]:
        reasons.append(
            f"pairs of copies in two splits: {findings['leaks']}, the first {len(findings['examples'])} follow; remove "
            "one of each, do without data.group_by if it is set, or set data.copies to ignore if they are no copies"
        )
    reasons += [f"{one!r} is a copy of {other!r}" for one, other in findings["examples"]]
    if findings["groups_in_two_splits"]:
        reasons.append(
            f"{findings['groups_in_two_splits']} groups are in two splits: report this, it is a fault of crackgate"
        )
    return reasons
