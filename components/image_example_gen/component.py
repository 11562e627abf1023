"""Specification of ImageExampleGen."""

import json
from pathlib import Path

from tfx import types
from tfx.components.example_gen import utils as example_gen_utils
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.proto import example_gen_pb2
from tfx.types import standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.image_example_gen.artifact import AccountFiles
from components.image_example_gen.driver import ImageFolderDriver
from components.image_example_gen.executor import ImageExampleGenExecutor
from components.shared.parameters import OPTIONS_PARAMETERS, check_classes, options_and_digest, options_or_defaults
from crackgate.config.data import DataOptions, SplitRatios
from crackgate.contracts import stored_example
from crackgate.storage.location import Location, parse_location


class ImageExampleGenSpec(types.ComponentSpec):
    """FileBasedExampleGen's specification, with the image limits and the account of the files."""

    PARAMETERS = {
        **standard_component_specs.FileBasedExampleGenSpec.PARAMETERS,
        # JSON, of null for the classes of the folder: lists do not come through the driver of a file-based ExampleGen.
        "classes": ExecutionParameter(type=str),
        **OPTIONS_PARAMETERS,
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {
        standard_component_specs.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
        "account": ChannelParameter(type=standard_artifacts.JsonValue),
        "conflicts": ChannelParameter(type=standard_artifacts.JsonValue),
        "rows": ChannelParameter(type=AccountFiles),
    }


class ImageExampleGen(base_beam_component.BaseBeamComponent):
    """A file-based ExampleGen for the data set in a folder (see `crackgate.data_set.data_set`).

    Outputs:
        examples: One `tf.train.Example` per image (see `crackgate.contracts.stored_example`), in the splits.
        account: A JsonValue, `crackgate.contracts.account.Account`.
        rows: AccountFiles, all rows of the account, which itself lists the first 1,000 of each reason.
        conflicts: A JsonValue, a list of up to 24 `crackgate.contracts.label_conflict.LabelConflict`.
    """

    SPEC_CLASS = ImageExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(ImageExampleGenExecutor)
    DRIVER_CLASS = ImageFolderDriver

    def __init__(
        self,
        folder: Location | RuntimeParameter,
        classes: list[str] | None = None,
        options: DataOptions | None = None,
        split_ratios: dict[str, int] | None = None,
    ):
        """Constructs the component.

        Args:
            folder: Absolute path of the data folder, or the URL of a prefix in a store; or a parameter of the run.
            classes: Class names in label order; images of other classes are rejected. By default those that the
                folder has.
            options: Where the labels are, bounds on single images and on all of them, and their groups.
            split_ratios: Hash buckets of some of "train", "eval" and "test"; by default those of `options`.

        Raises ValueError or TypeError for arguments that cannot be meant. `RuntimeParameter`s are checked by the run.
        """
        options = options_or_defaults(options, DataOptions)
        split_ratios = options.split.model_dump() if split_ratios is None else split_ratios
        _check_ratios(split_ratios)
        if classes is not None:
            check_classes(classes)
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
        # The splits stand in a parameter of their own.
        decisive = options.model_copy(update={"split": SplitRatios()})
        super().__init__(
            spec=ImageExampleGenSpec(
                input_base=folder if isinstance(folder, RuntimeParameter) else _check_folder(folder),
                input_config=input_config,
                output_config=output_config,
                output_data_format=example_gen_pb2.FORMAT_TF_EXAMPLE,
                output_file_format=example_gen_pb2.FORMAT_TFRECORDS_GZIP,
                classes=json.dumps(classes),
                **options_and_digest(decisive, ImageExampleGenExecutor, ImageFolderDriver),
                examples=types.Channel(type=standard_artifacts.Examples),
                account=types.Channel(type=standard_artifacts.JsonValue),
                conflicts=types.Channel(type=standard_artifacts.JsonValue),
                rows=types.Channel(type=AccountFiles),
            )
        )


def _check_folder(folder: Location) -> str:
    try:
        # `str` alone would make a name of anything.
        return str(parse_location(str(folder) if isinstance(folder, str | Path) else ""))
    except ValueError as error:
        raise ValueError(f"folder: received {str(folder)!r}; {error}") from None


def _check_ratios(ratios: dict[str, int]) -> None:
    given = ratios if isinstance(ratios, dict) else {}
    are_numbers = all(type(each) is int and each >= 1 for each in given.values())
    if not given or not are_numbers or not given.keys() <= set(stored_example.SPLITS):
        raise ValueError(
            f"split_ratios: received {ratios!r}; allowed are whole numbers from 1 on for some of "
            f"{', '.join(stored_example.SPLITS)}, such as {{'train': 4, 'eval': 1}}"
        )
