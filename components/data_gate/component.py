"""Specification of DataGate."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.data_gate.executor import DataGateExecutor
from components.shared.parameters import OPTIONS_PARAMETERS, check_classes, options_and_digest, options_or_defaults
from crackgate.config.gate import GateOptions


class DataGateSpec(types.ComponentSpec):
    """Anomalies and account in, findings out."""

    PARAMETERS = {
        "classes": ExecutionParameter(type=list[str]),
        "positive_classes": ExecutionParameter(type=list[str]),
        **OPTIONS_PARAMETERS,
    }
    INPUTS = {
        "account": ChannelParameter(type=standard_artifacts.JsonValue),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "scale": ChannelParameter(type=standard_artifacts.JsonValue),
    }
    OUTPUTS = {"findings": ChannelParameter(type=standard_artifacts.JsonValue)}


class DataGate(base_component.BaseComponent):
    """Fails the run on any anomaly that ExampleValidator found, so that nothing is trained on bad data.

    It does so, too, where the test split is so small that no model could pass the release gate, and where images of
    eval or test are out of the scale of the training images, which the model would refuse.

    Outputs:
        findings: A JsonValue, an empty list, since a run with findings ends here.
    """

    SPEC_CLASS = DataGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(DataGateExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        account: types.BaseChannel,
        anomalies: types.BaseChannel,
        scale: types.BaseChannel,
        classes: list[str],
        positive_classes: list[str],
        options: GateOptions | None = None,
    ):
        """Takes ImageExampleGen's examples, to name the images at fault, and its account.

        `anomalies` are ExampleValidator's, `scale` is DataPage's. `classes` and, among them, `positive_classes` are in
        label order; `options` are those of the release gate.
        """
        check_classes(classes, positive_classes)
        super().__init__(
            spec=DataGateSpec(
                examples=examples,
                account=account,
                anomalies=anomalies,
                scale=scale,
                classes=classes,
                positive_classes=positive_classes,
                **options_and_digest(options_or_defaults(options, GateOptions), DataGateExecutor),
                findings=types.Channel(type=standard_artifacts.JsonValue),
            )
        )
