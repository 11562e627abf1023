"""Specification of DataGate."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter

from components.data_gate.executor import DataGateExecutor
from components.shared.parameters import CODE_PARAMETERS, digest_of


class DataGateSpec(types.ComponentSpec):
    """Anomalies in, findings out."""

    PARAMETERS = CODE_PARAMETERS
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies),
    }
    OUTPUTS = {"findings": ChannelParameter(type=standard_artifacts.JsonValue)}


class DataGate(base_component.BaseComponent):
    """Fails the run on any anomaly that ExampleValidator found, so that nothing is trained on bad data.

    Outputs:
        findings: A JsonValue, an empty list, since a run with findings ends here.
    """

    SPEC_CLASS = DataGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(DataGateExecutor)

    def __init__(self, examples: types.BaseChannel, anomalies: types.BaseChannel):
        """Takes ImageExampleGen's examples, to name the images at fault, and ExampleValidator's anomalies."""
        super().__init__(
            spec=DataGateSpec(
                examples=examples,
                anomalies=anomalies,
                **digest_of(DataGateExecutor),
                findings=types.Channel(type=standard_artifacts.JsonValue),
            )
        )
