"""Specification of LeakCheck."""

from typing import Literal, get_args

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.leak_check.executor import LeakCheckExecutor
from components.shared.parameters import CODE_PARAMETERS, digest_of

_Copies = Literal["group", "ignore"]


class LeakCheckSpec(types.ComponentSpec):
    """Examples in, findings out."""

    PARAMETERS = {"copies": ExecutionParameter(type=str), **CODE_PARAMETERS}
    INPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {"findings": ChannelParameter(type=standard_artifacts.JsonValue)}


class LeakCheck(base_beam_component.BaseBeamComponent):
    """Looks for copies across splits in the stored examples; a model trained on copies of test images passes any gate.

    Outputs:
        findings: A JsonValue (see `executor`).
    """

    SPEC_CLASS = LeakCheckSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(LeakCheckExecutor)

    def __init__(self, examples: types.BaseChannel, copies: _Copies = "group"):
        """Takes ImageExampleGen's output, and `DataOptions.copies`: with "ignore", no copy stops the run."""
        if copies not in get_args(_Copies):
            raise ValueError(f"copies: received {copies!r}; allowed are {', '.join(map(repr, get_args(_Copies)))}")
        super().__init__(
            spec=LeakCheckSpec(
                examples=examples,
                copies=copies,
                **digest_of(LeakCheckExecutor),
                findings=types.Channel(type=standard_artifacts.JsonValue),
            )
        )
