"""The driver of ImageExampleGen, which detects changes of the image folder."""

from collections.abc import Iterable
from typing import Any

from tfx.components.example_gen import driver, input_processor
from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.types import standard_component_specs
from tfx.types.artifact import Artifact

from components.shared.parameters import OPTIONS
from crackgate.config.data import DataOptions
from crackgate.contracts.errors import DataRejectedError, WrongQuestionError
from crackgate.data_set.data_set import find_data_set
from crackgate.storage.location import Location


class ImageFolderProcessor(input_processor.InputProcessor):
    """One unversioned span: the whole folder.

    TFX's own processor sums up whole seconds, so it misses an image that moved to another class.
    """

    def __init__(self, folder: Location, options: DataOptions, splits: Iterable[example_gen_pb2.Input.Split]):
        super().__init__(splits)
        self._folder = folder
        self._options = options

    def get_pattern_for_span_version(self, pattern: str, span: int, version: int | None) -> str:  # noqa: ARG002
        """The pattern unchanged, since it names no span."""
        return pattern

    def get_latest_span(self) -> int:
        """Always 0."""
        return 0

    def get_input_fingerprint(self, span: int, version: int | None) -> str:  # noqa: ARG002
        """Changes whenever an image is added, removed, renamed, moved, rewritten or labelled otherwise.

        Raises DataRejectedError where the folder does not say what is to be learnt.
        """
        try:
            return find_data_set(self._folder, self._options).fingerprint(self._folder)
        except WrongQuestionError as error:
            raise DataRejectedError([str(error)]) from None


class ImageFolderDriver(driver.Driver):
    """Resolves the folder's fingerprint before the cache look-up."""

    def resolve_exec_properties(
        self,
        exec_properties: dict[str, Any],
        pipeline_info: data_types.PipelineInfo,
        component_info: data_types.ComponentInfo,
    ) -> dict[str, Any]:
        """Keeps the options, which say where labels and classes are, for the processor."""
        self._options = DataOptions.model_validate_json(exec_properties[OPTIONS])
        resolved: dict[str, Any] = super().resolve_exec_properties(exec_properties, pipeline_info, component_info)
        return resolved

    def _prepare_output_artifacts(self, **named: Any) -> dict[str, list[Artifact]]:
        """Prepares all outputs, for an InteractiveContext: TFX's driver would prepare the examples alone."""
        prepared: dict[str, list[Artifact]] = base_driver.BaseDriver._prepare_output_artifacts(self, **named)
        (examples,) = prepared[standard_component_specs.EXAMPLES_KEY]
        driver.update_output_artifact(named["exec_properties"], examples.mlmd_artifact)
        return prepared

    def get_input_processor(
        self,
        splits: Iterable[example_gen_pb2.Input.Split],
        range_config: range_config_pb2.RangeConfig | None = None,  # noqa: ARG002
        input_base_uri: str | None = None,
    ) -> ImageFolderProcessor:
        """Returns the processor of the component's `input_base`."""
        assert input_base_uri is not None, "the component's specification requires it"
        return ImageFolderProcessor(input_base_uri, self._options, splits)
