"""Transfer learning in two stages: the head on a frozen backbone, then the top blocks together with the head."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from trainer.options import TrainOptions
from trainer.views import Views

log = logging.getLogger("crackgate")

History = dict[str, list[float]]

_HEAD_STEPS_AT_ONCE = 64
_PREDICTED_AT_ONCE = 128


@dataclass(frozen=True)
class Stages:
    """How the training went.

    Attributes:
        head: Per epoch of the head's stage: loss, accuracy, val_loss and val_accuracy.
        fine_tune: The same of the second stage; empty when it was turned off.
        fine_tune_kept: Whether fine-tuning beat the frozen backbone on eval, and so was kept.
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
            keras.layers.Dense(classes, name="logits"),
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
    train: Views,
    validation: Views,
    options: TrainOptions,
    tensorboard_dir: Path,
) -> Stages:
    """Trains the head, then the upper part with it; both models are changed in place.

    Args:
        upper: Backbone from the cut on.
        head: From `build_head`.
        train: Views of the train split.
        validation: One view of each image of the eval split.
        options: Epochs, rates, patience and seed.
        tensorboard_dir: Receives the logs of the stages in `head/` and `fine_tune/`.

    Raises:
        ValueError: The loss became NaN or infinite.
    """
    head_history = _train_head(head, train, validation, options, tensorboard_dir / "head")
    if options.fine_tune_epochs == 0:
        return Stages(head_history, {}, fine_tune_kept=False)
    history, kept = _fine_tune(upper, head, train, validation, options, tensorboard_dir / "fine_tune")
    return Stages(head_history, history, kept)


def predict_logits(upper: keras.Model, head: keras.Model, images: Views, stages: Stages) -> np.ndarray:
    """Logits of the trained classifier for the first view of every image, without another pass through its lower part.

    Args:
        upper: As `train_stages` left it.
        head: As `train_stages` left it.
        images: With activations if the upper part was fine-tuned.
        stages: What `train_stages` returned.

    Returns:
        float32 (images, classes).
    """
    if not stages.fine_tune_kept:
        return head.predict(images.features[:, 0], verbose=0)
    assert images.activations is not None, "fine-tuning needs stored activations"
    cut = keras.Input(upper.input_shape[1:])
    top = keras.Model(cut, head(keras.layers.GlobalAveragePooling2D()(upper(cut))))
    starts = range(0, len(images.labels), _PREDICTED_AT_ONCE)
    batches = (images.activations[start : start + _PREDICTED_AT_ONCE, 0].astype(np.float32) for start in starts)
    return np.concatenate([top.predict_on_batch(batch) for batch in batches])


def _train_head(
    head: keras.Model, train: Views, validation: Views, options: TrainOptions, tensorboard_dir: Path
) -> History:
    views = train.features.shape[1]
    # A step of one dense layer takes a third of what Python takes to ask for it.
    _compile(head, options.head_learning_rate, steps_per_execution=_HEAD_STEPS_AT_ONCE)
    history = head.fit(
        train.features.reshape(-1, train.features.shape[-1]),
        np.repeat(train.labels, views),
        validation_data=(validation.features[:, 0], validation.labels),
        batch_size=options.batch_size,
        epochs=options.head_epochs,
        callbacks=_callbacks("head", options, tensorboard_dir),
        verbose=0,
    ).history
    return _checked(history, "head")


def _fine_tune(
    upper: keras.Model,
    head: keras.Model,
    train: Views,
    validation: Views,
    options: TrainOptions,
    tensorboard_dir: Path,
) -> tuple[History, bool]:
    _freeze_batch_norm(upper)
    cut = keras.Input(upper.input_shape[1:])
    features = keras.layers.GlobalAveragePooling2D()(upper(cut))
    top = keras.Model(cut, head(features), name="top")
    batches = _OneViewEach(train, options.batch_size, options.seed)
    validation_batches = _OneViewEach(validation, options.batch_size, options.seed)
    steps = options.fine_tune_epochs * len(batches)
    warm_up = -(-len(batches) // 2)
    # From zero up for half an epoch: Adam's first steps, before it knows the gradients, would undo the features.
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=options.fine_tune_learning_rate, warmup_steps=warm_up
    )
    _compile(top, rate)
    before = top.get_weights()
    frozen_loss = top.evaluate(validation_batches, verbose=0, return_dict=True)["loss"]
    history = top.fit(
        batches,
        validation_data=validation_batches,
        epochs=options.fine_tune_epochs,
        callbacks=_callbacks("fine-tuning", options, tensorboard_dir),
        verbose=0,
    ).history
    kept = min(_checked(history, "fine-tuning")["val_loss"]) < frozen_loss
    if not kept:
        log.info("fine-tuning did not lower the eval loss of %.4f: the frozen backbone stays", frozen_loss)
        top.set_weights(before)
    return history, kept


def _freeze_batch_norm(model: keras.Model) -> None:
    """BatchNorm stays in inference mode for good: the statistics of a few batches are worse than ImageNet's.

    `model(x, training=False)` would not do: within a functional model, Keras 3 overrides it with what `fit` asks for.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


class _OneViewEach(keras.utils.PyDataset):
    """Batches of activations: every image once per epoch, each time in one of its views, in a new order."""

    def __init__(self, views: Views, batch_size: int, seed: int):
        super().__init__()
        assert views.activations is not None, "fine-tuning needs stored activations"
        self._activations, self._labels = views.activations, views.labels
        self._batch_size = batch_size
        self._rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._labels) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        # In sorted order the file is read forwards.
        images = np.sort(self._order[index * self._batch_size : (index + 1) * self._batch_size])
        return self._activations[images, self._view[images]].astype(np.float32), self._labels[images]

    def on_epoch_end(self) -> None:
        """Draws the next epoch's order and views."""
        self._order = self._rng.permutation(len(self._labels))
        self._view = self._rng.integers(self._activations.shape[1], size=len(self._labels))


def _compile(model: keras.Model, rate: Any, steps_per_execution: int = 1) -> None:
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
    )


def _callbacks(stage: str, options: TrainOptions, tensorboard_dir: Path) -> list[keras.callbacks.Callback]:
    def report(epoch: int, logs: dict[str, float]) -> None:
        log.info(
            "%s, epoch %d: eval loss %.4f, accuracy %.4f", stage, epoch + 1, logs["val_loss"], logs["val_accuracy"]
        )

    return [
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=options.patience, restore_best_weights=True),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.TensorBoard(tensorboard_dir, write_graph=False),
        keras.callbacks.LambdaCallback(on_epoch_end=report),
    ]


def _checked(history: History, stage: str) -> History:
    if not np.isfinite([*history["loss"], *history["val_loss"]]).all():
        raise ValueError(
            f"the loss of the {stage} stage is no longer finite ({history['loss'][-1]}): "
            "lower train.head_learning_rate or train.fine_tune_learning_rate"
        )
    return history
