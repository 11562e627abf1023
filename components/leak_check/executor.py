"""The work of LeakCheck.

Its findings:

    {"pairs": 3412, "leaks": 1, "examples": [["train: Positive/a.jpg", "test: Positive/b.jpg"]],
     "groups_in_two_splits": 0}

`pairs` counts the links that were found between copies, `leaks` those of them that cross splits.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components import features
from components.copies.descriptor import key_of, name_of
from components.copies.grouping import FindCopies
from components.errors import DataRejectedError
from components.tally import read_tally, write_tally

_SHOWN = 20


class Executor(base_beam_executor.BaseBeamExecutor):
    """Finds copies among all splits together."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Passes silently, or stops the run.

        Raises:
            DataRejectedError: A pair of copies, or a group, is in two splits; the reasons name the pairs.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(input_dict["examples"])
        tallies = Path(self._get_tmp_dir())
        with self._make_beam_pipeline() as pipeline:
            _look_for_leaks(pipeline, artifact, tallies)
        leaks, straddling = sorted(read_tally(tallies, "leaks")), read_tally(tallies, "straddling")
        (pairs,) = read_tally(tallies, "pairs")
        findings = {
            "pairs": pairs,
            "leaks": len(leaks),
            "examples": leaks[:_SHOWN],
            "groups_in_two_splits": len(straddling),
        }
        if leaks or straddling:
            raise DataRejectedError(_describe(findings))
        artifact_utils.get_single_instance(output_dict["findings"]).write(findings)


def _look_for_leaks(pipeline: beam.Pipeline, artifact: types.Artifact, tallies: Path) -> None:
    examples = tuple(
        pipeline
        | f"Read[{split}]" >> beam.io.ReadFromTFRecord(f"{artifact_utils.get_split_uri([artifact], split)}/*")
        | f"Parse[{split}]" >> beam.Map(_parse, split)
        for split in artifact_utils.decode_split_names(artifact.split_names)
    )
    images = examples | beam.Flatten()
    pairs = images | "Described" >> beam.Map(_described) | FindCopies()
    straddling = (
        images
        | "Groups" >> beam.Map(_group_and_split)
        | "DistinctSplits" >> beam.Distinct()
        | "SplitsOfGroup" >> beam.GroupByKey()
        | "Straddling" >> beam.FlatMapTuple(_straddling)
    )
    leaks = pairs | "Leaks" >> beam.FlatMapTuple(_leak)
    write_tally(leaks, tallies, "leaks")
    write_tally(pairs | beam.combiners.Count.Globally(), tallies, "pairs")
    write_tally(straddling, tallies, "straddling")


def _parse(record: bytes, split: str) -> tuple[bytes, bytes, bytes]:
    """Key (made of split, NUL and path), descriptor and group of a stored example."""
    feature = tf.train.Example.FromString(record).features.feature
    path, descriptor, group = (
        feature[name].bytes_list.value[0] for name in (features.FILENAME, features.DESCRIPTOR, features.GROUP)
    )
    return key_of(descriptor, split.encode() + b"\0" + path), descriptor, group


def _described(image: tuple[bytes, bytes, bytes]) -> tuple[bytes, bytes]:
    key, descriptor, _ = image
    return key, descriptor


def _group_and_split(image: tuple[bytes, bytes, bytes]) -> tuple[bytes, bytes]:
    key, _, group = image
    return group, _split_of(key)


def _straddling(group: bytes, splits: Iterable[bytes]) -> Iterator[str]:
    if len(list(splits)) > 1:
        yield group.decode("utf-8", "backslashreplace")


def _leak(one: bytes, other: bytes) -> Iterator[list[str]]:
    if _split_of(one) != _split_of(other):
        yield sorted(name_of(key).replace(b"\0", b": ").decode("utf-8", "backslashreplace") for key in (one, other))


def _split_of(key: bytes) -> bytes:
    return name_of(key).partition(b"\0")[0]


def _describe(findings: dict[str, Any]) -> list[str]:
    reasons = []
    if findings["leaks"]:
        reasons.append(
            f"pairs of copies in two splits: {findings['leaks']}, of which the first {len(findings['examples'])} "
            "follow; remove one of each, or, if data.group_by is set, do without it"
        )
    reasons += [f"{one!r} is a copy of {other!r}" for one, other in findings["examples"]]
    if findings["groups_in_two_splits"]:
        reasons.append(
            f"{findings['groups_in_two_splits']} groups are in two splits: report this, it is a fault of ours"
        )
    return reasons
