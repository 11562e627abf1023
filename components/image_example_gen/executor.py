"""The work of ImageExampleGen: read, check, group, split and count the images, as two Beam pipelines.

The first reads and decodes every file once, keeps its example in a staging folder, and finds out from small
descriptors which images belong together. The second gives the staged examples their group and, by it, their split. So
the encoded images are never shuffled or held in memory, only named.
"""

import bisect
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx import types
from tfx.components.example_gen.write_split import DEFAULT_FILE_NAME, to_file_format_str
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from components import features
from components.errors import DataRejectedError
from components.image_example_gen.account import find_faults, read_account
from components.image_example_gen.grouping import AssignGroups
from components.image_example_gen.reading import (
    NOTED_OUTPUT,
    REJECTED_OUTPUT,
    SEEN_OUTPUT,
    ReadImage,
    bytes_feature,
)
from components.image_folder import find_files
from components.images import ImageLimits
from components.tally import write_tally


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes the examples (see `component.ImageExampleGen`) and the account of every file found (see `account`)."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the Beam pipelines, then checks what came out.

        Raises:
            DataRejectedError: No images, fewer than two classes, a class missing from a split or out of balance there,
                too many rejected, or a class folder whose name is not UTF-8.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        classes: list[str] = json.loads(exec_properties["classes"])
        if misnamed := [os.fsencode(name) for name in classes if not _is_utf8(name)]:
            raise DataRejectedError([f"the name of class folder {name!r} is not UTF-8: rename it" for name in misnamed])
        staging = Path(self._get_tmp_dir())
        files = [os.fsencode(file.path) for file in find_files(Path(exec_properties["input_base"]))]
        with self._make_beam_pipeline() as pipeline:
            _read_and_group(pipeline, files, classes, exec_properties, staging)
        examples = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        with self._make_beam_pipeline() as pipeline:
            _split(pipeline, staging, _buckets(exec_properties), examples)
        splits = list(_buckets(exec_properties))
        _describe_artifact(examples, splits)

        account = read_account(staging, len(files), classes, splits)
        artifact_utils.get_single_instance(output_dict["account"]).write(account)
        faults = find_faults(account, classes, exec_properties["max_rejected_share"], exec_properties["max_imbalance"])
        if faults:
            raise DataRejectedError(faults, account)


def _read_and_group(
    pipeline: beam.Pipeline, files: list[bytes], classes: list[str], exec_properties: dict[str, Any], staging: Path
) -> None:
    limits = ImageLimits(
        min_side=exec_properties["min_side"],
        max_pixels=exec_properties["max_pixels"],
        max_bytes=exec_properties["max_bytes"],
    )
    outcomes = (
        pipeline
        | "Files" >> beam.Create(files)
        | "Spread" >> beam.Reshuffle()
        | "ReadImages"
        >> beam.ParDo(ReadImage(exec_properties["input_base"], classes, limits)).with_outputs(
            SEEN_OUTPUT, REJECTED_OUTPUT, NOTED_OUTPUT, main="examples"
        )
    )
    _ = outcomes.examples | "Stage" >> beam.io.WriteToTFRecord(str(staging / "examples"))
    groups = outcomes[SEEN_OUTPUT] | AssignGroups(exec_properties["group_by"])
    _ = (
        groups.assigned
        # No path has a NUL in it.
        | "Join" >> beam.MapTuple(_joined)
        | "StageGroups" >> beam.io.WriteToTFRecord(str(staging / "assigned"))
    )
    names = groups.assigned | "GroupNames" >> beam.Values() | beam.Distinct()
    write_tally(names | beam.combiners.Count.Globally(), staging, "groups")
    write_tally(outcomes[REJECTED_OUTPUT], staging, "rejected")
    write_tally(groups[REJECTED_OUTPUT], staging, "ungrouped")
    write_tally(outcomes[NOTED_OUTPUT], staging, "noted")


def _split(pipeline: beam.Pipeline, staging: Path, buckets: dict[str, int], examples: types.Artifact) -> None:
    assigned = (
        pipeline | "ReadGroups" >> beam.io.ReadFromTFRecord(str(staging / "assigned*")) | "Part" >> beam.Map(_parted)
    )
    parts = (
        pipeline
        | "ReadStaged" >> beam.io.ReadFromTFRecord(str(staging / "examples*"))
        # A multimap is looked up path by path: no worker has to hold the groups of millions of images.
        | "SetGroup" >> beam.ParDo(_SetGroup(), beam.pvalue.AsMultiMap(assigned))
        | "Split" >> beam.Partition(_split_index, len(buckets), list(itertools.accumulate(buckets.values())))
    )
    for name, part in zip(buckets, parts, strict=True):
        classes = part | f"Class[{name}]" >> beam.Map(_class_of) | f"Count[{name}]" >> beam.combiners.Count.PerElement()
        write_tally(classes, staging, f"images-{name}")
        path = os.path.join(examples.uri, f"Split-{name}", DEFAULT_FILE_NAME)
        _ = (
            part
            | f"Serialize[{name}]" >> beam.Map(tf.train.Example.SerializeToString, deterministic=True)
            # Not shuffled, as TFX's own writer does: the files were, before they were read.
            | f"Write[{name}]" >> beam.io.WriteToTFRecord(path, file_name_suffix=".gz")
        )


class _SetGroup(beam.DoFn):
    """From staged bytes to an example with its group; without one, the image has been rejected."""

    def process(self, staged: bytes, groups: Mapping[bytes, Iterable[bytes]]) -> Iterator[tf.train.Example]:
        example = tf.train.Example.FromString(staged)
        for group in groups[example.features.feature[features.FILENAME].bytes_list.value[0]]:
            example.features.feature[features.GROUP].CopyFrom(bytes_feature(group))
            yield example


def _split_index(example: tf.train.Example, _splits: int, bounds: list[int]) -> int:
    """TFX's way to split: by the hash of the group, so that nothing but the group decides."""
    (group,) = example.features.feature[features.GROUP].bytes_list.value
    return bisect.bisect(bounds, int(hashlib.sha256(group).hexdigest(), 16) % bounds[-1])


def _class_of(example: tf.train.Example) -> str:
    name: bytes = example.features.feature[features.CLASS_TEXT].bytes_list.value[0]
    return name.decode()


def _joined(path: bytes, group: bytes) -> bytes:
    return path + b"\0" + group


def _parted(record: bytes) -> tuple[bytes, bytes]:
    path, _, group = record.partition(b"\0")
    return path, group


def _buckets(exec_properties: dict[str, Any]) -> dict[str, int]:
    output = example_gen_pb2.Output()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.OUTPUT_CONFIG_KEY], output)
    return {split.name: split.hash_buckets for split in output.split_config.splits}


def _describe_artifact(examples: types.Artifact, splits: list[str]) -> None:
    examples.split_names = artifact_utils.encode_split_names(splits)
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(examples, to_file_format_str(example_gen_pb2.FORMAT_TFRECORDS_GZIP))


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
