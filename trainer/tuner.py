"""The entry point that the TFX Tuner calls: which options give the lowest eval loss."""

import contextlib
import logging
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from crackgate.config.train import TrainOptions
from crackgate.contracts.log_record import LASTING
from crackgate.time_left import time_left
from trainer.features.training_views import training_views
from trainer.fit.checkpoints import remove_stale, training_digest
from trainer.fit.stages import train_stages
from trainer.keras_settings import set_keras_up
from trainer.network.backbones import build_backbone, split_at_top
from trainer.network.classifier import build_head
from trainer.strategy import build_strategy
from trainer.trainer_arguments import check_arguments, check_work_dir, readable_examples

log = logging.getLogger("crackgate")


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Prepares a search over learning rates, dropout and how much of the backbone is fine-tuned.

    `custom_config` and the examples are what `run_fn` takes, and `trials` is how many trainings to compare. A search
    that was killed resumes. ValueError says what cannot be tuned with.
    """
    set_keras_up()
    check_arguments(fn_args)
    config = fn_args.custom_config
    if "trials" not in config:
        raise ValueError(f"custom_config: received {sorted(config)}, needed is 'trials', how many trainings to compare")
    options = TrainOptions.model_validate(config.get("options", {}))
    if options.strategy == "multi_worker":
        log.info("tuning on one device: workers share a training, not a search")
        options = options.model_copy(update={"strategy": "one"})
    if work_dir := config.get("work_dir"):
        digest = training_digest(config, None, fn_args.train_files + fn_args.eval_files)
        folder = Path(work_dir) / "tuning" / digest
        remove_stale(folder.parent, digest)
    else:
        check_work_dir("working_dir", fn_args.working_dir)
        folder = Path(fn_args.working_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return TunerFnResult(tuner=_StagesTuner(fn_args, options, folder), fit_kwargs={})


def search_space(options: TrainOptions) -> keras_tuner.HyperParameters:
    """The values around the configured options, which are the first trial.

    Learning rates go from a tenth to ten times, dropout from 0 to 0.5. The fine-tuned share is halved, kept or doubled.
    """
    space = keras_tuner.HyperParameters()

    def rate(name: str) -> None:
        value = getattr(options, name)
        space.Float(name, value / 10, min(1.0, value * 10), sampling="log", default=value)

    rate("head_learning_rate")
    space.Float("dropout", 0.0, max(0.5, options.dropout), default=options.dropout)
    if options.fine_tune_epochs:
        rate("fine_tune_learning_rate")
        share = options.fine_tune_share
        space.Choice("fine_tune_share", sorted({share / 2, share, min(1.0, share * 2)}), default=share)
    return space


class _DefaultsFirst(keras_tuner.oracles.RandomSearchOracle):
    """Random search whose first trial are the configured options, so that tuning never ends below them."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Gives the values of the next trial."""
        if not self.trials:
            values = {parameter.name: parameter.default for parameter in self.hyperparameters.space}
            return {"status": keras_tuner.engine.trial.TrialStatus.RUNNING, "values": values}
        return super().populate_space(trial_id)


class _StagesTuner(keras_tuner.Tuner):
    """Trains both stages in each trial, on views that are computed once."""

    def __init__(self, fn_args: FnArgs, options: TrainOptions, folder: Path):
        self._fn_args, self._options, self._folder = fn_args, options, folder
        self._trials = fn_args.custom_config["trials"]
        oracle = _DefaultsFirst(
            objective=keras_tuner.Objective("eval_loss", "min"),
            max_trials=self._trials,
            seed=options.seed,
            hyperparameters=search_space(options),
        )
        super().__init__(oracle, directory=str(folder), project_name="trials")

    def on_search_begin(self) -> None:
        """Runs all views once through the backbone, cut as low as any trial needs it."""
        options = self._options
        self._began, self._before = time.monotonic(), len(self.oracle.end_order)
        self._at_end = contextlib.ExitStack()
        self._temporary = self._at_end.enter_context(tempfile.TemporaryDirectory(dir=self._fn_args.working_dir))
        readable = self._at_end.enter_context(readable_examples(self._fn_args))
        self._strategy = build_strategy(options)
        keras.utils.set_random_seed(options.seed)
        self._backbone = build_backbone(options.backbone, options.image_size, options.weights)
        lower, self._upper = split_at_top(self._backbone, min(1.0, 2 * options.fine_tune_share))
        self._pretrained = self._upper.get_weights()
        files = readable.train_files, readable.eval_files
        with self._strategy.scope():
            self._views = training_views(lower, self._upper, options, *files, Path(self._temporary))

    def run_trial(self, trial: Any) -> dict[str, float]:
        """Trains from the pretrained weights with a trial's values; gives the eval loss of the model that is kept."""
        values = trial.hyperparameters.values
        described = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        number = int(trial.trial_id) + 1
        log.info("trial %d of %d: %s", number, self._trials, described)
        options = TrainOptions.model_validate({**self._options.model_dump(), **values})
        folder = Path(self.get_trial_dir(trial.trial_id))
        keras.utils.set_random_seed(options.seed)
        self._upper.set_weights(self._pretrained)
        _train_only_top(self._backbone, self._upper, options.fine_tune_share)
        head = build_head(self._backbone.output_shape[-1], len(self._fn_args.custom_config["classes"]), options)
        logs = Path(self._temporary, f"logs-{trial.trial_id}")
        with self._strategy.scope():
            try:
                stages = train_stages(self._upper, head, self._views, options, logs, folder)
            except ValueError as error:
                log.warning("trial %d of %d failed: %s", number, self._trials, error)
                raise keras_tuner.errors.FailedTrialError(str(error)) from error
        loss = stages.kept_loss
        done = len(self.oracle.end_order) + 1
        left = time_left(time.monotonic() - self._began, done - self._before, self._trials - self._before)
        log.info("trial %d of %d: eval loss %.4f, %s", number, self._trials, loss, left, extra=LASTING)
        return {"eval_loss": loss}

    def on_search_end(self) -> None:
        """Removes the trials' files, which the oracle has in memory; raises ValueError if all trials failed."""
        self._at_end.close()
        if not self.oracle.get_best_trials():
            raise ValueError(
                f"all {self._trials} trials failed, for reasons in the log: "
                "lower train.head_learning_rate and train.fine_tune_learning_rate, or set tune.trials = 0"
            )
        shutil.rmtree(self._folder)


def _train_only_top(backbone: keras.Model, upper: keras.Model, share: float) -> None:
    """Freezes those of the upper part's layers that would belong to the lower part if it were cut for `share`."""
    _, top = split_at_top(backbone, share)
    names = {layer.name for layer in top.layers}
    for layer in upper.layers:
        # BatchNorm that no convolution took up stays frozen.
        layer.trainable = layer.name in names and not isinstance(layer, keras.layers.BatchNormalization)
