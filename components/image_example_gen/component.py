"""Specification of ImageExampleGen."""

import json
from pathlib import Path

from tfx import types
from tfx.components.example_gen import utils as example_gen_utils
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.image_example_gen.driver import ImageFolderDriver
from components.image_example_gen.executor import Executor
from crackgate.contracts import stored_example
from crackgate.images.image_file import ImageLimits


class ImageExampleGenSpec(types.ComponentSpec):
    """FileBasedExampleGen's specification, the image limits, and the account of the files."""

    PARAMETERS = {
        **standard_component_specs.FileBasedExampleGenSpec.PARAMETERS,
        "classes": ExecutionParameter(type=str),
        "min_side": ExecutionParameter(type=int),
        "max_pixels": ExecutionParameter(type=int),
        "max_bytes": ExecutionParameter(type=int),
        "max_rejected_share": ExecutionParameter(type=float),
        "max_imbalance": ExecutionParameter(type=float),
        "group_by": ExecutionParameter(type=str),
        "source_digest": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {
        standard_component_specs.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
        "account": ChannelParameter(type=standard_artifacts.JsonValue),
    }


class ImageExampleGen(base_beam_component.BaseBeamComponent):
    """A file-based ExampleGen for a folder-per-class tree of image files, nested to any depth.

    Outputs:
        examples: One `tf.train.Example` per image (see `crackgate.contracts.stored_example`), in the splits asked for.
        account: A JsonValue, `crackgate.contracts.account.Account`.
    """

    SPEC_CLASS = ImageExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = ImageFolderDriver

    def __init__(
        self,
        folder: Path,
        classes: list[str],
        split_ratios: dict[str, int],
        limits: ImageLimits,
        max_rejected_share: float,
        max_imbalance: float,
        group_by: str,
        source_digest: str,
    ):
        """Constructs the component.

        Args:
            folder: Absolute path of the data folder; its sub-folders are the classes.
            classes: Class names in label order.
            split_ratios: Hash buckets of "train", "eval" and "test", for example 70, 15 and 15, or of some of them.
            limits: Bounds on single images.
            max_rejected_share: Share of files, 0 to 1, above which the data is refused.
            max_imbalance: Largest difference, 0 to 1, between a class's share of a split and of all images.
            group_by: Pattern whose first group, searched in an image's path, names its group; "" to group copies.
            source_digest: Digest of the code that does the work, so that an edit invalidates cached examples.
        """
        input_config = example_gen_utils.make_default_input_config()
        output_config = example_gen_pb2.Output(
            split_config=example_gen_pb2.SplitConfig(
                splits=[
                    example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=split_ratios[name])
                    for name in stored_example.SPLITS
                    if name in split_ratios
                ],
                partition_feature_name=stored_example.GROUP,
            )
        )
        super().__init__(
            spec=ImageExampleGenSpec(
                input_base=str(folder),
                input_config=input_config,
                output_config=output_config,
                output_data_format=example_gen_pb2.FORMAT_TF_EXAMPLE,
                output_file_format=example_gen_pb2.FORMAT_TFRECORDS_GZIP,
                classes=json.dumps(classes),
                min_side=limits.min_side,
                max_pixels=limits.max_pixels,
                max_bytes=limits.max_bytes,
                max_rejected_share=max_rejected_share,
                max_imbalance=max_imbalance,
                group_by=group_by,
                source_digest=source_digest,
                examples=types.Channel(type=standard_artifacts.Examples),
                account=types.Channel(type=standard_artifacts.JsonValue),
            )
        )
