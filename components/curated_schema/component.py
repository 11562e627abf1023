"""Specification of CuratedSchema."""

import json

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.curated_schema.executor import Executor


class CuratedSchemaSpec(types.ComponentSpec):
    """The expectations in, the schema out."""

    PARAMETERS = {
        "classes": ExecutionParameter(type=str),
        "ranges": ExecutionParameter(type=str),
        "min_images_per_split": ExecutionParameter(type=int),
        "source_digest": ExecutionParameter(type=str),
    }
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {"schema": ChannelParameter(type=standard_artifacts.Schema)}


class CuratedSchema(base_component.BaseComponent):
    """Writes the schema from what the configuration expects, not from what the data happens to hold.

    A schema inferred from the data can only ever confirm it.

    Outputs:
        schema: A Schema artifact for StatisticsGen and ExampleValidator.
    """

    SPEC_CLASS = CuratedSchemaSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        classes: list[str],
        ranges: dict[str, tuple[float, float]],
        min_images_per_split: int,
        source_digest: str,
    ):
        """Constructs the component.

        Args:
            classes: Class names in label order.
            ranges: Lowest and highest allowed value by feature name: height, width, bytes, brightness, contrast,
                sharpness and entropy.
            min_images_per_split: Fewest images in each of train, eval and test.
            source_digest: Digest of the code that does the work, so that an edit invalidates the cached schema.
        """
        super().__init__(
            spec=CuratedSchemaSpec(
                classes=json.dumps(classes),
                ranges=json.dumps(ranges, sort_keys=True),
                min_images_per_split=min_images_per_split,
                source_digest=source_digest,
                schema=types.Channel(type=standard_artifacts.Schema),
            )
        )
