"""Specification of DriftCheck."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter

from components.drift_check.executor import DriftCheckExecutor
from components.shared.parameters import OPTIONS_PARAMETERS, options_and_digest, options_or_defaults
from crackgate.config.drift import DriftOptions


class DriftCheckSpec(types.ComponentSpec):
    """Statistics in, findings out."""

    PARAMETERS = OPTIONS_PARAMETERS
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "released_statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics, optional=True),
    }
    OUTPUTS = {"findings": ChannelParameter(type=standard_artifacts.JsonValue)}


class DriftCheck(base_component.BaseComponent):
    """Compares distributions of the measured qualities by TFDV's Jensen-Shannon divergence.

    The metrics of the model in production say nothing about images of another surface, camera or light.

    Outputs:
        findings: A JsonValue, `DriftFindings`.
    """

    SPEC_CLASS = DriftCheckSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(DriftCheckExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        statistics: types.BaseChannel,
        released_statistics: types.BaseChannel | None = None,
        options: DriftOptions | None = None,
    ):
        """Takes the examples, to name outliers, their statistics, the last released run's, if any, and the limits.

        Splits are compared with those of the same name, and with "train".
        """
        super().__init__(
            spec=DriftCheckSpec(
                examples=examples,
                statistics=statistics,
                released_statistics=released_statistics,
                **options_and_digest(options_or_defaults(options, DriftOptions), DriftCheckExecutor),
                findings=types.Channel(type=standard_artifacts.JsonValue),
            )
        )
