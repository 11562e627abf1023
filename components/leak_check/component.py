"""Specification of LeakCheck."""

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.leak_check.executor import Executor


class LeakCheckSpec(types.ComponentSpec):
    """Examples in, findings out."""

    PARAMETERS = {"source_digest": ExecutionParameter(type=str)}
    INPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {"findings": ChannelParameter(type=standard_artifacts.JsonValue)}


class LeakCheck(base_beam_component.BaseBeamComponent):
    """Looks for copies across splits in the examples as they are stored, however they were split.

    A model that has trained on copies of its test images passes any gate.

    Outputs:
        findings: A JsonValue (see `executor`).
    """

    SPEC_CLASS = LeakCheckSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(self, examples: types.BaseChannel, source_digest: str):
        """Constructs the component.

        Args:
            examples: ImageExampleGen's output.
            source_digest: Digest of the code that does the work, so that an edit invalidates a cached pass.
        """
        super().__init__(
            spec=LeakCheckSpec(
                examples=examples,
                source_digest=source_digest,
                findings=types.Channel(type=standard_artifacts.JsonValue),
            )
        )
