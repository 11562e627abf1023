"""Specification of ReleasePusher."""

from pathlib import Path

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from components.release_pusher.executor import ReleasePusherExecutor
from components.shared.local_artifact import serving_path
from components.shared.parameters import OPTIONS_PARAMETERS, options_and_digest, options_or_defaults
from crackgate.config.release import ReleaseOptions


class ReleasePusherSpec(types.ComponentSpec):
    """A judged model in, the record of its release out."""

    PARAMETERS = {
        "serving_dir": ExecutionParameter(type=str),
        "config_digest": ExecutionParameter(type=str),
        **OPTIONS_PARAMETERS,
    }
    INPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing, optional=True),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics),
    }
    OUTPUTS = {"pushed_model": ChannelParameter(type=standard_artifacts.PushedModel)}


class ReleasePusher(base_component.BaseComponent):
    """Releases a model that passed its gates as a numbered version, complete or absent at every instant.

    Outputs:
        pushed_model: A PushedModel with the custom properties of TFX's Pusher: `pushed` (1 or 0), `pushed_destination`
            (the version's folder) and `pushed_version`; see `executor` for withdrawn models.
    """

    SPEC_CLASS = ReleasePusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ReleasePusherExecutor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        evaluation: types.BaseChannel,
        examples: types.BaseChannel,
        statistics: types.BaseChannel,
        serving_dir: Path,
        options: ReleaseOptions | None = None,
        config_digest: str = "",
        infra_blessing: types.BaseChannel | None = None,
    ):
        """Constructs the component.

        Args:
            model: The Trainer's output.
            model_blessing: The Evaluator's verdict.
            evaluation: The Evaluator's output, whose metrics go into the manifest.
            examples: ImageExampleGen's output; the data's fingerprint goes into the manifest.
            statistics: StatisticsGen's output, which the version keeps.
            serving_dir: Absolute path that receives `<version>/`.
            options: The signing key (see `crackgate.releases.signatures`) and the number of versions to keep.
            config_digest: Digest of the configuration that decides about the model, where there is one.
            infra_blessing: The verdict of a serving check; None without such a check.

        Raises ValueError where `serving_dir` is a URL, or no absolute path.
        """
        super().__init__(
            spec=ReleasePusherSpec(
                model=model,
                model_blessing=model_blessing,
                infra_blessing=infra_blessing,
                evaluation=evaluation,
                examples=examples,
                statistics=statistics,
                serving_dir=str(serving_path(serving_dir)),
                config_digest=config_digest,
                **options_and_digest(options_or_defaults(options, ReleaseOptions), ReleasePusherExecutor),
                pushed_model=types.Channel(type=standard_artifacts.PushedModel),
            )
        )
