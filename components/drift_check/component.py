"""Specification of DriftCheck."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter

from components.drift_check.executor import DriftCheckExecutor
from components.shared.parameters import OPTIONS_PARAMETERS, options_and_digest
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
    """Compares distributions of the measured qualities, with TFDV's Jensen-Shannon divergence.

    Other surfaces, another camera or other light make another task: the metrics of the model in production say nothing
    about it, and a new model is to be released for it knowingly.

    Outputs:
        findings: A JsonValue (see `executor`).
    """

    SPEC_CLASS = DriftCheckSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(DriftCheckExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        statistics: types.BaseChannel,
        released_statistics: types.BaseChannel,
        options: DriftOptions,
    ):
        """Constructs the component.

        Args:
            examples: ImageExampleGen's output, to name the images that stand out.
            statistics: StatisticsGen's output.
            released_statistics: Those of the last released run; may be empty.
            options: How far the splits may be from the released run, and from each other.
        """
        super().__init__(
            spec=DriftCheckSpec(
                examples=examples,
                statistics=statistics,
                released_statistics=released_statistics,
                **options_and_digest(options, DriftCheckExecutor),
                findings=types.Channel(type=standard_artifacts.JsonValue),
            )
        )
