"""Specification of CuratedSchema."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.curated_schema.executor import CuratedSchemaExecutor
from components.shared.parameters import OPTIONS_PARAMETERS, check_classes, options_and_digest, options_or_defaults
from crackgate.config.schema import SchemaOptions


class CuratedSchemaSpec(types.ComponentSpec):
    """Expectations in, schema out."""

    PARAMETERS = {"classes": ExecutionParameter(type=list[str]), **OPTIONS_PARAMETERS}
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {"schema": ChannelParameter(type=standard_artifacts.Schema)}


class CuratedSchema(base_component.BaseComponent):
    """Writes the schema that the configuration expects: one inferred from the data could only confirm it.

    Outputs:
        schema: A Schema artifact for StatisticsGen and ExampleValidator.
    """

    SPEC_CLASS = CuratedSchemaSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(CuratedSchemaExecutor)

    def __init__(self, classes: list[str], options: SchemaOptions | None = None):
        """Takes the class names in label order and the expectations of the images."""
        check_classes(classes)
        super().__init__(
            spec=CuratedSchemaSpec(
                classes=classes,
                **options_and_digest(options_or_defaults(options, SchemaOptions), CuratedSchemaExecutor),
                schema=types.Channel(type=standard_artifacts.Schema),
            )
        )
