"""The work of ImageExampleGen: read, check, group, split and count the images, as one Beam pipeline.

Every file is read and decoded once, by the batch, and its example put into a staging file. Which images belong together
is found out from small descriptors; then every staging file is gone through with the groups of its images. So the
encoded images are never shuffled or held in memory, only their places.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.components.example_gen.write_split import DEFAULT_FILE_NAME, to_file_format_str
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from components.errors import DataRejectedError
from components.image_example_gen.account import find_faults, read_account
from components.image_example_gen.grouping import AssignGroups
from components.image_example_gen.reading import NOTED_OUTPUT, REJECTED_OUTPUT, ReadImages
from components.image_example_gen.splitting import COUNT_OUTPUT, SplitStaged, group_of
from components.image_folder import FoundFile, find_files
from components.images import ImageLimits
from components.tally import write_tally

# Read one after the other into one staging file, and later written out one after the other.
_FILES_IN_BATCH = 256


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes the examples (see `component.ImageExampleGen`) and the account of every file found (see `account`)."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the Beam pipeline, then checks what came out.

        Raises:
            DataRejectedError: No images, fewer than two classes, a class missing from a split or out of balance there,
                too many rejected, or a class folder whose name is not UTF-8.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        classes: list[str] = json.loads(exec_properties["classes"])
        if misnamed := [os.fsencode(name) for name in classes if not _is_utf8(name)]:
            raise DataRejectedError([f"the name of class folder {name!r} is not UTF-8: rename it" for name in misnamed])
        staging = Path(self._get_tmp_dir())
        files = list(find_files(Path(exec_properties["input_base"])))
        examples = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        with self._make_beam_pipeline() as pipeline:
            outcomes = _read(pipeline, _batches(files), classes, exec_properties, staging)
            groups = outcomes.seen | AssignGroups(exec_properties["group_by"])
            _split(groups.assigned, _buckets(exec_properties), examples, staging)
            names = groups.assigned | "GroupNames" >> beam.MapTuple(group_of) | beam.Distinct()
            write_tally(names | beam.combiners.Count.Globally(), staging, "groups")
            write_tally(outcomes[REJECTED_OUTPUT], staging, "rejected")
            write_tally(groups[REJECTED_OUTPUT], staging, "ungrouped")
            write_tally(outcomes[NOTED_OUTPUT], staging, "noted")
        splits = list(_buckets(exec_properties))
        _describe_artifact(examples, splits)

        account = read_account(staging, len(files), classes, splits)
        artifact_utils.get_single_instance(output_dict["account"]).write(account)
        faults = find_faults(account, classes, exec_properties["max_rejected_share"], exec_properties["max_imbalance"])
        if faults:
            raise DataRejectedError(faults, account)


def _batches(files: Iterable[FoundFile]) -> list[list[bytes]]:
    """Paths in the order of their hashes, so that every batch has images of every class and size."""
    paths = sorted((os.fsencode(file.path) for file in files), key=lambda path: hashlib.sha256(path).digest())
    return [paths[start : start + _FILES_IN_BATCH] for start in range(0, len(paths), _FILES_IN_BATCH)]


def _read(
    pipeline: beam.Pipeline,
    batches: list[list[bytes]],
    classes: list[str],
    exec_properties: dict[str, Any],
    staging: Path,
) -> Any:
    limits = ImageLimits(
        min_side=exec_properties["min_side"],
        max_pixels=exec_properties["max_pixels"],
        max_bytes=exec_properties["max_bytes"],
    )
    return (
        pipeline
        | "Files" >> beam.Create(batches)
        | "Spread" >> beam.Reshuffle()
        | "ReadImages"
        >> beam.ParDo(ReadImages(exec_properties["input_base"], classes, limits, str(staging))).with_outputs(
            REJECTED_OUTPUT, NOTED_OUTPUT, main="seen"
        )
    )


def _split(assigned: beam.PCollection, buckets: dict[str, int], examples: types.Artifact, staging: Path) -> None:
    parts = (
        assigned
        | "ByStagingFile" >> beam.GroupByKey()
        | "Split" >> beam.ParDo(SplitStaged(buckets)).with_outputs(COUNT_OUTPUT, *buckets)
    )
    for name in buckets:
        path = os.path.join(examples.uri, f"Split-{name}", DEFAULT_FILE_NAME)
        # Not shuffled, as TFX's own writer does it: the files were, before they were read.
        _ = parts[name] | f"Write[{name}]" >> beam.io.WriteToTFRecord(path, file_name_suffix=".gz")
    write_tally(parts[COUNT_OUTPUT] | "Count" >> beam.combiners.Count.PerElement(), staging, "images")


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
