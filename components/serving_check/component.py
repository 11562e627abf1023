"""Specification of ServingCheck."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.serving_check.driver import ServingCheckDriver
from components.serving_check.executor import ServingCheckExecutor
from components.shared.parameters import OPTIONS_PARAMETERS, check_classes, options_and_digest, options_or_defaults
from crackgate.config.serving_check import ServingCheckOptions


class ServingCheckSpec(types.ComponentSpec):
    """A model and its training record in, blessing and findings out."""

    PARAMETERS = {
        "classes": ExecutionParameter(type=list[str]),
        "positive_classes": ExecutionParameter(type=list[str]),
        **OPTIONS_PARAMETERS,
    }
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
        "model_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    OUTPUTS = {
        "blessing": ChannelParameter(type=standard_artifacts.InfraBlessing),
        "findings": ChannelParameter(type=standard_artifacts.JsonValue),
    }


class ServingCheck(base_component.BaseComponent):
    """Loads the exported model in a fresh process that has only TensorFlow, and sends it serving's requests.

    The next run measures again a model that was refused only for time or memory; other outcomes are cached.

    Outputs:
        blessing: An InfraBlessing; the custom property `blessed` is 1 when every check passes.
        findings: A JsonValue, `ServingFindings`.
    """

    SPEC_CLASS = ServingCheckSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ServingCheckExecutor)
    DRIVER_CLASS = ServingCheckDriver

    def __init__(
        self,
        model: types.BaseChannel,
        model_run: types.BaseChannel,
        model_blessing: types.BaseChannel,
        classes: list[str],
        positive_classes: list[str],
        options: ServingCheckOptions | None = None,
    ):
        """Takes the Trainer's `model` and `model_run`, which holds the reference images and their scores.

        A model without the Evaluator's blessing is not checked. `classes` and, among them,
        `positive_classes` are in label order.
        """
        check_classes(classes, positive_classes)
        super().__init__(
            spec=ServingCheckSpec(
                model=model,
                model_run=model_run,
                model_blessing=model_blessing,
                classes=classes,
                positive_classes=positive_classes,
                **options_and_digest(
                    options_or_defaults(options, ServingCheckOptions), ServingCheckExecutor, ServingCheckDriver
                ),
                blessing=types.Channel(type=standard_artifacts.InfraBlessing),
                findings=types.Channel(type=standard_artifacts.JsonValue),
            )
        )
