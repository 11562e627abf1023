"""Specification of DriftCheck."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.drift_check.executor import Executor


class DriftCheckSpec(types.ComponentSpec):
    """Statistics in, findings out."""

    PARAMETERS = {
        "max_drift": ExecutionParameter(type=float),
        "max_skew": ExecutionParameter(type=float),
        "source_digest": ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "released_statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics, optional=True),
    }
    OUTPUTS = {"findings": ChannelParameter(type=standard_artifacts.JsonValue)}


class DriftCheck(base_component.BaseComponent):
    """Compares distributions of the measured qualities, with TFDV's Jensen-Shannon divergence.

    Other surfaces, another camera or other light make another task: the figures of the model in service say nothing
    about it, and a new model is to be released for it knowingly.

    Outputs:
        findings: A JsonValue (see `executor`).
    """

    SPEC_CLASS = DriftCheckSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        statistics: types.BaseChannel,
        released_statistics: types.BaseChannel,
        max_drift: float,
        max_skew: float,
        source_digest: str,
    ):
        """Constructs the component.

        Args:
            examples: ImageExampleGen's output, to name the images that stand out.
            statistics: StatisticsGen's output.
            released_statistics: Those of the last released run; may be empty.
            max_drift: Largest divergence, 0 to 1, of a split from the same split of the released run.
            max_skew: Largest divergence, 0 to 1, of eval and of test from train.
            source_digest: Digest of the code that does the work, so that an edit invalidates a cached pass.
        """
        super().__init__(
            spec=DriftCheckSpec(
                examples=examples,
                statistics=statistics,
                released_statistics=released_statistics,
                max_drift=max_drift,
                max_skew=max_skew,
                source_digest=source_digest,
                findings=types.Channel(type=standard_artifacts.JsonValue),
            )
        )
