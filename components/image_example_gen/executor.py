"""The work of ImageExampleGen: read, check, group, split and count the images, as one Beam pipeline.

Batches of files are decoded once, into staging files of examples. Descriptors decide the groups. Each staging file is
then split by group, so that no encoded image is shuffled or held in memory.
"""

import json
import math
import os
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.components.example_gen.write_split import DEFAULT_FILE_NAME, to_file_format_str
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from components.image_example_gen.account import find_faults, read_account
from components.image_example_gen.account_rows import REASONS, ROWS_OUTPUT, write_account_rows
from components.image_example_gen.conflicts import read_conflicts
from components.image_example_gen.dealt_groups import deal_groups
from components.image_example_gen.groups import (
    CONFLICTS_OUTPUT,
    NAMES_OUTPUT,
    OVERLAPS_OUTPUT,
    AssignGroups,
    count_distinct,
)
from components.image_example_gen.manifest import BatchPlace, write_manifest
from components.image_example_gen.read_step import ReadImages
from components.image_example_gen.splits import SplitStaged
from components.shared.beam_results import write_rows
from components.shared.json_value import write_json
from components.shared.parameters import OPTIONS, Artifacts, Properties
from crackgate.config.data import DataOptions
from crackgate.contracts.errors import DataRejectedError
from crackgate.data_set.data_set import find_data_set
from crackgate.images.copies.partitions import count_partitions

# One file of each split holds these.
_BATCHES_IN_SHARD = 8


class ImageExampleGenExecutor(base_beam_executor.BaseBeamExecutor):
    """Writes the examples (see `component.ImageExampleGen`) and the `Account` of every file found."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties) -> None:  # noqa: N802
        """Runs the Beam pipeline, then checks its outcome.

        Raises DataRejectedError for no images, fewer than two classes, or a class folder whose name is not UTF-8. So do
        too many rejected files, and a class that is missing or out of balance in a split.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        options = DataOptions.model_validate_json(exec_properties[OPTIONS])
        staging = self._get_tmp_dir()
        examples = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        buckets, splits = _buckets(exec_properties), list(_buckets(exec_properties))
        data_set = find_data_set(exec_properties["input_base"], options).within(splits)
        classes: list[str] = json.loads(exec_properties["classes"]) or data_set.classes
        if misnamed := [os.fsencode(name) for name in classes if not _is_utf8(name)]:
            raise DataRejectedError([f"the name of class folder {name!r} is not UTF-8: rename it" for name in misnamed])
        found, batches = len(data_set.images), write_manifest(data_set.images, staging)
        shards = math.ceil(len(batches) / _BATCHES_IN_SHARD)
        with self._make_beam_pipeline() as pipeline:
            outcomes = _read(pipeline, batches, exec_properties["input_base"], classes, options, staging)
            groups = outcomes.seen | AssignGroups(options, count_partitions(found), _BATCHES_IN_SHARD, staging)
            dealt = deal_groups(data_set.images, options.group_by, buckets)
            counts = groups.assigned | _split(buckets, dealt, examples, shards, staging)
            names = groups[NAMES_OUTPUT] | "GroupNames" >> beam.GroupByKey() | beam.MapTuple(count_distinct)
            rows = (outcomes[ROWS_OUTPUT], groups[ROWS_OUTPUT]) | "AllRows" >> beam.Flatten()
            folder = artifact_utils.get_single_uri(output_dict["rows"])
            results = {
                "images": counts,
                "groups": names,
                REASONS: write_account_rows(rows, folder, shards),
                CONFLICTS_OUTPUT: groups[CONFLICTS_OUTPUT],
                OVERLAPS_OUTPUT: groups[OVERLAPS_OUTPUT],
            }
            write_rows(results, staging)
        _describe_artifact(examples, splits)

        account = read_account(staging, found, classes, splits)
        account.ignored = data_set.ignored
        write_json(artifact_utils.get_single_instance(output_dict["account"]), account.model_dump(mode="json"))
        conflicts = [conflict.model_dump(mode="json") for conflict in read_conflicts(staging, CONFLICTS_OUTPUT)]
        write_json(artifact_utils.get_single_instance(output_dict["conflicts"]), conflicts)
        faults = find_faults(account, classes, options.max_rejected_share, options.max_imbalance, buckets)
        if faults:
            raise DataRejectedError(faults, account)


def _read(
    pipeline: beam.Pipeline,
    batches: list[BatchPlace],
    folder: str,
    classes: list[str],
    options: DataOptions,
    staging: str,
) -> Any:
    return (
        pipeline
        # It spreads them over the workers.
        | "Batches" >> beam.Create(batches)
        | "ReadImages"
        >> beam.ParDo(ReadImages(folder, classes, options.limits, staging)).with_outputs(ROWS_OUTPUT, main="seen")
    )


def _split(
    buckets: dict[str, int], dealt: dict[bytes, str], examples: types.Artifact, shards: int, staging: str
) -> beam.PTransform:
    folders = {name: os.path.join(examples.uri, f"Split-{name}") for name in buckets}
    for folder in folders.values():
        fileio.makedirs(folder)
    prefixes = {name: os.path.join(folder, DEFAULT_FILE_NAME) for name, folder in folders.items()}
    write = SplitStaged(buckets, dealt, prefixes, shards, staging)
    return "ByShard" >> beam.GroupByKey() | "Split" >> beam.ParDo(write)


def _buckets(exec_properties: Properties) -> dict[str, int]:
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
