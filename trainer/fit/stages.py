"""The two stages of transfer learning: the head on a frozen backbone, then the top blocks together with the head."""

import dataclasses
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from crackgate.config.train import TrainOptions
from crackgate.contracts.training_images import TrainingImages
from trainer.cpu_seconds import CpuSeconds
from trainer.features.views import TrainingViews
from trainer.fit.batches import Inputs
from trainer.fit.checkpoints import Checkpoint
from trainer.fit.loop import History, Plan, fit
from trainer.imbalance import draw_epoch, draw_part, draws, eval_weights, shown_weights, train_weights
from trainer.network.classifier import assemble
from trainer.network.training_copy import copy_weights, training_copy
from trainer.strategy import is_chief, training_policy

log = logging.getLogger("crackgate")

_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")

_PREDICTED_AT_ONCE = 128
# Activations that a stream holds at a time: some 110 MB at 160 x 160 pixels.
_MOST_FRESH = 4500


@dataclass(frozen=True)
class Stages:
    """Per epoch of each stage: loss, accuracy, val_loss and val_accuracy; `fine_tune` is empty when turned off.

    `train.imbalance` weights the losses, not the accuracies. `fine_tune_kept` is False when fine-tuning was clearly
    worse on eval than the frozen backbone. `images` says how many images the kept weights depend on.
    """

    head: History
    fine_tune: History
    fine_tune_kept: bool
    images: TrainingImages

    @property
    def kept_loss(self) -> float:
        """The eval loss of the model that training keeps: fine-tuning's last epoch, or the head's best one."""
        return self.fine_tune["val_loss"][-1] if self.fine_tune_kept else min(self.head["val_loss"])


def train_stages(
    upper: keras.Model,
    head: keras.Model,
    views: TrainingViews,
    options: TrainOptions,
    tensorboard_dir: Path,
    checkpoints: Path | None = None,
    seconds: CpuSeconds | None = None,
) -> Stages:
    """Trains the head, then the upper part with it, in place, on the devices of the strategy in scope.

    `upper` is the backbone from the cut on. The logs go to `head/` and `fine_tune/`. A stage resumes from the folder
    `checkpoints`; None keeps nothing. A loss that becomes NaN or infinite raises ValueError. `seconds` gets the parts
    "head" and "fine-tuning", the second with the views of streamed images.
    """
    of_head, of_fine_tuning = (
        Checkpoint(checkpoints / f"{stage}.npz", read_only=not is_chief()) if checkpoints else None
        for stage in ("head", "fine_tune")
    )
    seconds = seconds or CpuSeconds()
    head_history, shown = _train_head(head, views, options, tensorboard_dir / "head", of_head)
    seconds.end("head")
    if options.fine_tune_epochs == 0:
        return Stages(head_history, {}, fine_tune_kept=False, images=_images(views, shown, streamed=False))
    epochs = _FineTuningEpochs(views, options)
    history, kept = _fine_tune(upper, head, views, epochs, options, tensorboard_dir / "fine_tune", of_fine_tuning)
    seconds.end("fine-tuning")
    if kept:
        shown |= _shown(epochs.draw_stored, epochs.count, len(shown))
    images = _images(views, shown, streamed=kept)
    if not kept and views.stream is not None:
        log.warning("the head alone is kept, which saw %d of the training images", images.learnt_from)
    return Stages(head_history, history, kept, images)


def predict_eval(
    upper: keras.Model, head: keras.Model, views: TrainingViews, stages: Stages
) -> tuple[np.ndarray, np.ndarray]:
    """Logits, float32 (images, classes), and labels, int64 (images,), of all eval images after `train_stages`.

    They come in the stored order.
    """
    parts = [part for part in (views.validation, views.validation_once) if part is not None]
    labels = np.concatenate([part.labels for part in parts])
    chosen = np.ones(len(labels), bool) if views.choosing is None else views.choosing
    # The place of each stored image in `parts`.
    order = np.argsort(np.argsort(~chosen, kind="stable"))
    if not stages.fine_tune_kept:
        logits = [head.predict(np.concatenate([part.features[:, 0] for part in parts]), verbose=0)]
    else:
        top = assemble(upper, head)
        logits = []
        for part in parts:
            assert part.activations is not None, "fine-tuning needs stored activations"
            logits.append(_logits(top, part.activations[:, 0]))
    return np.concatenate(logits)[order], labels[order]


def _shown(draw: Callable[[int], np.ndarray], epochs: int, items: int) -> np.ndarray:
    """Which items the first epochs show: bool (items,)."""
    shown = np.zeros(items, bool)
    for epoch in range(epochs):
        shown[draw(epoch)] = True
    return shown


def _images(views: TrainingViews, shown: np.ndarray, streamed: bool) -> TrainingImages:
    """Counts the stored images with a view in `shown`, and all streamed ones if the stage that read them is kept."""
    kept, each = views.train.features.shape[:2]
    others = 0 if views.stream is None else len(views.stream.labels)
    learnt = others if streamed else 0
    seen = int(shown.reshape(kept, each).any(axis=1).sum())
    return TrainingImages(available=kept + others, learnt_from=seen + learnt, views=int(shown.sum()) + learnt)


def _train_head(
    head: keras.Model,
    views: TrainingViews,
    options: TrainOptions,
    tensorboard_dir: Path,
    checkpoint: Checkpoint | None,
) -> tuple[History, np.ndarray]:
    """Returns the history, and which views its best epoch depends on: bool (images * views,)."""
    train, validation = views.train, views.validation
    inputs = _inputs(train.features, train.labels, train_weights(train.labels, options.imbalance))

    def draw(epoch: int) -> np.ndarray:
        return draw_epoch(inputs.labels, options.imbalance, np.random.default_rng([options.seed, epoch]))

    copy = training_copy(head, "float32")
    history = fit(
        copy,
        _optimizer(options.head_learning_rate, options),
        _LOSS,
        inputs,
        draw,
        _inputs(validation.features, validation.labels, eval_weights(validation.labels, options.imbalance)),
        Plan("head", options.batch_size, options.head_epochs, options.patience),
        tensorboard_dir,
        checkpoint,
    )
    copy_weights(copy, head)
    return history, _shown(draw, int(np.argmin(history["val_loss"])) + 1, len(inputs.labels))


def _fine_tune(
    upper: keras.Model,
    head: keras.Model,
    views: TrainingViews,
    epochs: "_FineTuningEpochs",
    options: TrainOptions,
    tensorboard_dir: Path,
    checkpoint: Checkpoint | None,
) -> tuple[History, bool]:
    validation = views.validation
    assert validation.activations is not None, "fine-tuning needs stored activations"
    total = epochs.count * epochs.steps
    warm_up = -(-total // (2 * options.fine_tune_epochs))
    # From zero up: Adam's first steps, before it knows the gradients, would undo the features.
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, total - warm_up), warmup_target=options.fine_tune_learning_rate, warmup_steps=warm_up
    )
    weights = eval_weights(validation.labels, options.imbalance)
    chosen_by = _inputs(validation.activations, validation.labels, weights)
    features_of_frozen = _inputs(validation.features, validation.labels, weights).values
    frozen_logits = keras.ops.convert_to_numpy(head(features_of_frozen, training=False))
    top = assemble(upper, head)
    before = top.get_weights()
    copy = training_copy(top, training_policy(options.mixed_precision))
    history = fit(
        copy,
        _optimizer(rate, options),
        _LOSS,
        epochs.inputs,
        epochs.draw,
        chosen_by,
        Plan("fine-tuning", options.batch_size, epochs.count, patience=None),
        tensorboard_dir,
        checkpoint,
    )
    copy_weights(copy, top)
    kept = not _clearly_worse(_logits(top, chosen_by.values), frozen_logits, chosen_by)
    if not kept:
        log.info("fine-tuning raised the eval loss by more than two standard errors: keeping the frozen backbone")
        top.set_weights(before)
    return history, kept


class _FineTuningEpochs:
    """What each epoch of fine-tuning shows: every training image at least once in all.

    With E epochs and `views` versions, images of the sample are shown E / `views` times per view that they have, in
    another view each time while they have others. Streamed images are shown once, mixed with them.
    """

    def __init__(self, views: TrainingViews, options: TrainOptions):
        train, self._stream, self._options = views.train, views.stream, options
        assert train.activations is not None, "fine-tuning needs stored activations"
        self._labels, self._each = train.labels, train.features.shape[1]
        self._streamed = np.empty(0, np.int64) if self._stream is None else self._stream.labels
        streamed = len(self._streamed)
        self._first_view = np.random.default_rng([options.seed, 2]).integers(self._each, size=len(self._labels))
        self.count = max(options.fine_tune_epochs, -(-streamed // _MOST_FRESH))
        shown = len(self._labels) * self._each * options.fine_tune_epochs / options.views
        self._shown = math.ceil(max(shown, len(self._labels)) / self.count)
        load = -(-streamed // self.count)
        times = draws(self._labels, options.imbalance) * self._shown * self.count / len(self._labels)
        labels = np.concatenate([self._labels, self._streamed])
        self._weights = shown_weights(labels, options.imbalance, np.concatenate([times, np.ones(streamed)]))
        fresh = None
        if self._stream is not None:
            activations = np.empty((load, *train.activations.shape[2:]), train.activations.dtype)
            fresh = Inputs(activations, np.empty(load, np.int64), np.empty(load, np.float32))
        stored = _inputs(train.activations, train.labels, self._weights[: len(train.labels)])
        self.inputs = dataclasses.replace(stored, fresh=fresh)
        self.steps = -(-(self._shown + load) // options.batch_size)

    def draw_stored(self, epoch: int) -> np.ndarray:
        """The stored items of an epoch."""
        options = self._options
        images = draw_part(self._labels, options.imbalance, options.seed, epoch, self._shown)
        # How often all images were drawn before: each time, an image shows its next view.
        turn = (epoch * self._shown + np.arange(self._shown)) // len(self._labels)
        items: np.ndarray = images * self._each + (self._first_view[images] + turn) % self._each
        return items

    def draw(self, epoch: int) -> np.ndarray:
        """The items of an epoch in their order, after reading its load of the stream."""
        items = self.draw_stored(epoch)
        first, end = (number * len(self._streamed) // self.count for number in (epoch, epoch + 1))
        # With fewer images than epochs, some epochs have none.
        if self._stream is None or first == end:
            return items
        fresh, load = self.inputs.fresh, end - first
        assert fresh is not None and fresh.weights is not None
        self._stream.read(first, fresh.values[:load])
        fresh.labels[:load] = self._streamed[first:end]
        fresh.weights[:load] = self._weights[len(self._labels) :][first:end]
        rng = np.random.default_rng([self._options.seed, epoch, 1])
        return rng.permutation(np.concatenate([items, len(self.inputs.labels) + np.arange(load)]))


def _clearly_worse(logits: np.ndarray, than: np.ndarray, inputs: Inputs) -> bool:
    """Whether the loss of `logits` is higher than the other by over two standard errors of the paired difference."""
    # On easy images any difference is chance, and fine-tuning helps on surfaces and cameras that eval does not show.
    losses, others = (keras.ops.convert_to_numpy(_LOSS(inputs.labels, given)) for given in (logits, than))
    raised = (losses - others) * inputs.weights
    return bool(raised.mean() > 2 * raised.std() / np.sqrt(len(raised)))


def _logits(top: keras.Model, activations: np.ndarray) -> np.ndarray:
    """Logits for any number of stored activations, in batches that fit into memory."""
    starts = range(0, len(activations), _PREDICTED_AT_ONCE)
    batches = (activations[start : start + _PREDICTED_AT_ONCE].astype(np.float32) for start in starts)
    # Eagerly: to trace a graph takes longer than these few batches.
    return np.concatenate([keras.ops.convert_to_numpy(top(batch, training=False)) for batch in batches])


def _inputs(views: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Inputs:
    """Every view of every image as an item of its own: view v of image i is item i * views + v."""
    count = views.shape[1]
    return Inputs(views.reshape(-1, *views.shape[2:]), np.repeat(labels, count), np.repeat(weights, count))


def _optimizer(rate: Any, options: TrainOptions) -> keras.optimizers.Optimizer:
    adam = keras.optimizers.Adam(rate)
    # Small gradients are 0 in float16, unless the loss is scaled up first.
    return keras.optimizers.LossScaleOptimizer(adam) if options.mixed_precision == "float16" else adam
