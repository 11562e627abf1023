"""Transfer learning in two stages: the head on a frozen backbone, then the top blocks together with the head."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from crackgate.config.train import TrainOptions
from trainer.features.views import TrainingViews
from trainer.fit.checkpoints import Checkpoint
from trainer.fit.fused_adam import FusedAdam
from trainer.fit.imbalance import draw_epoch, draw_part, eval_weights, train_weights
from trainer.fit.loop import History, Inputs, Plan, fit
from trainer.fit.strategy import is_chief, step_dtype
from trainer.network.lean_network import lean

log = logging.getLogger("crackgate")

_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")

_PREDICTED_AT_ONCE = 128


@dataclass(frozen=True)
class Stages:
    """How the training went.

    Attributes:
        head: Per epoch of the head's stage: loss, accuracy, val_loss and val_accuracy. What is done about imbalance
            weighs in the losses, and not in the accuracies.
        fine_tune: The same of the second stage; empty when it was turned off.
        fine_tune_kept: Whether fine-tuning was kept: it was not clearly worse on eval than the frozen backbone.
    """

    head: History
    fine_tune: History
    fine_tune_kept: bool


def build_head(channels: int, classes: int, options: TrainOptions) -> keras.Model:
    """Dropout and one dense layer, from averaged features to logits."""
    return keras.Sequential(
        [
            keras.Input((channels,)),
            keras.layers.Dropout(options.dropout, seed=options.seed),
            # In full precision whatever the rest computes in: softmax and loss need it.
            keras.layers.Dense(classes, dtype="float32", name="logits"),
        ],
        name="head",
    )


def assemble(backbone: keras.Model, head: keras.Model) -> keras.Model:
    """The whole classifier, from float32 images (batch, size, size, 3) in 0 to 255 to logits; it shares all weights."""
    _freeze_batch_norm(backbone)
    images = keras.Input(backbone.input_shape[1:], name="image")
    features = keras.layers.GlobalAveragePooling2D()(backbone(images))
    return keras.Model(images, head(features), name="classifier")


def train_stages(
    upper: keras.Model,
    head: keras.Model,
    views: TrainingViews,
    options: TrainOptions,
    tensorboard_dir: Path,
    checkpoints: Path | None = None,
) -> Stages:
    """Trains the head, then the upper part with it; both models are changed in place.

    Call it within the scope of the strategy in which they were made.

    Args:
        upper: Backbone from the cut on.
        head: From `build_head`.
        views: Of the train and the eval split.
        options: Epochs, rates, patience, imbalance and seed.
        tensorboard_dir: Receives the logs of the stages in `head/` and `fine_tune/`.
        checkpoints: Folder that keeps each epoch; a stage found there goes on. None to keep nothing.

    Raises:
        ValueError: The loss became NaN or infinite.
    """
    of_head, of_fine_tuning = (
        Checkpoint(checkpoints / f"{stage}.npz", read_only=not is_chief()) if checkpoints else None
        for stage in ("head", "fine_tune")
    )
    head_history = _train_head(head, views, options, tensorboard_dir / "head", of_head)
    if options.fine_tune_epochs == 0:
        return Stages(head_history, {}, fine_tune_kept=False)
    history, kept = _fine_tune(upper, head, views, options, tensorboard_dir / "fine_tune", of_fine_tuning)
    return Stages(head_history, history, kept)


def predict_eval(
    upper: keras.Model, head: keras.Model, views: TrainingViews, stages: Stages
) -> tuple[np.ndarray, np.ndarray]:
    """What the trained classifier says of every eval image, without another pass through its lower part.

    Args:
        upper: As `train_stages` left it.
        head: As `train_stages` left it.
        views: With activations of the eval images if the upper part was fine-tuned.
        stages: What `train_stages` returned.

    Returns:
        Logits, float32 (images, classes), and labels, int64 (images,).
    """
    parts = [part for part in (views.validation, views.validation_once) if part is not None]
    labels = np.concatenate([part.labels for part in parts])
    if not stages.fine_tune_kept:
        return head.predict(np.concatenate([part.features[:, 0] for part in parts]), verbose=0), labels
    cut = keras.Input(upper.input_shape[1:])
    top = keras.Model(cut, head(keras.layers.GlobalAveragePooling2D()(upper(cut))))
    logits = []
    for part in parts:
        assert part.activations is not None, "fine-tuning needs stored activations"
        logits.append(_logits(top, part.activations[:, 0]))
    return np.concatenate(logits), labels


def _train_head(
    head: keras.Model,
    views: TrainingViews,
    options: TrainOptions,
    tensorboard_dir: Path,
    checkpoint: Checkpoint | None,
) -> History:
    validation = views.validation
    train = views.train
    inputs = _inputs(train.features, train.labels, train_weights(train.labels, options.imbalance))
    return fit(
        head,
        _optimizer(options.head_learning_rate, options),
        _LOSS,
        inputs,
        lambda epoch: draw_epoch(inputs.labels, options.imbalance, np.random.default_rng([options.seed, epoch])),
        _inputs(validation.features, validation.labels, eval_weights(validation.labels, options.imbalance)),
        Plan("head", options.batch_size, options.head_epochs, options.patience),
        tensorboard_dir,
        checkpoint,
    )


def _fine_tune(
    upper: keras.Model,
    head: keras.Model,
    all_views: TrainingViews,
    options: TrainOptions,
    tensorboard_dir: Path,
    checkpoint: Checkpoint | None,
) -> tuple[History, bool]:
    train, validation = all_views.train, all_views.validation
    assert train.activations is not None and validation.activations is not None, "fine-tuning needs stored activations"
    _freeze_batch_norm(upper)
    cut = keras.Input(upper.input_shape[1:])
    features = keras.layers.GlobalAveragePooling2D()(upper(cut))
    top = keras.Model(cut, head(features), name="top")
    views = train.features.shape[1]
    shown = -(-len(train.labels) * views // options.views)

    def one_view_each(epoch: int) -> np.ndarray:
        """An epoch's images, each time in one of their views."""
        images = draw_part(train.labels, options.imbalance, options.seed, epoch, shown)
        return images * views + np.random.default_rng([options.seed, epoch, 1]).integers(views, size=shown)

    steps_per_epoch = -(-shown // options.batch_size)
    steps = options.fine_tune_epochs * steps_per_epoch
    warm_up = -(-steps_per_epoch // 2)
    # From zero up for half an epoch: Adam's first steps, before it knows the gradients, would undo the features.
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=options.fine_tune_learning_rate, warmup_steps=warm_up
    )
    before, weights = top.get_weights(), eval_weights(validation.labels, options.imbalance)
    chosen_by = _inputs(validation.activations, validation.labels, weights)
    features_of_frozen = _inputs(validation.features, validation.labels, weights).values
    frozen_logits = keras.ops.convert_to_numpy(head(features_of_frozen, training=False))
    history = fit(
        top,
        _optimizer(rate, options),
        _LOSS,
        _inputs(train.activations, train.labels, train_weights(train.labels, options.imbalance)),
        one_view_each,
        chosen_by,
        Plan(
            "fine-tuning",
            options.batch_size,
            options.fine_tune_epochs,
            options.patience,
            step_dtype(options.mixed_precision),
        ),
        tensorboard_dir,
        checkpoint,
    )
    kept = not _clearly_worse(_logits(top, chosen_by.values), frozen_logits, chosen_by)
    if not kept:
        log.info("fine-tuning raised the eval loss by more than chance does: the frozen backbone stays")
        top.set_weights(before)
    return history, kept


def _clearly_worse(logits: np.ndarray, than: np.ndarray, inputs: Inputs) -> bool:
    """Whether a loss is higher than another by over two standard errors of the difference, item by item.

    Not already when it is higher: on easy images chance would decide, and a fine-tuned network is the better one on
    surfaces and cameras that are not among them.
    """
    losses, others = (keras.ops.convert_to_numpy(_LOSS(inputs.labels, given)) for given in (logits, than))
    raised = (losses - others) * inputs.weights
    return bool(raised.mean() > 2 * raised.std() / np.sqrt(len(raised)))


def _logits(top: keras.Model, activations: np.ndarray) -> np.ndarray:
    """Of any number of stored activations, a few at a time: they are many megabytes."""
    starts = range(0, len(activations), _PREDICTED_AT_ONCE)
    batches = (activations[start : start + _PREDICTED_AT_ONCE].astype(np.float32) for start in starts)
    network = lean(top, "float32")
    # Without a graph: to trace one takes longer than these few batches.
    return np.concatenate([keras.ops.convert_to_numpy(network(batch, training=False)) for batch in batches])


def _inputs(views: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Inputs:
    """Every view of every image as an item of its own: that of image i and view v is i * views + v."""
    count = views.shape[1]
    return Inputs(views.reshape(-1, *views.shape[2:]), np.repeat(labels, count), np.repeat(weights, count))


def _optimizer(rate: Any, options: TrainOptions) -> keras.optimizers.Optimizer:
    adam = (keras.optimizers.Adam if tf.distribute.has_strategy() else FusedAdam)(rate)
    # Small gradients are nothing in float16, unless the loss is scaled up first.
    return keras.optimizers.LossScaleOptimizer(adam) if options.mixed_precision == "float16" else adam


def _freeze_batch_norm(model: keras.Model) -> None:
    """BatchNorm stays in inference mode for good: the statistics of a few batches are worse than ImageNet's.

    `model(x, training=False)` would not do: within a functional model, Keras 3 overrides it with what `fit` asks for.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
