"""The training loop of one stage: on one device or several, and resumable to the same weights."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from crackgate.contracts.log_record import LASTING
from crackgate.plural import counted
from crackgate.time_left import time_left
from trainer.fit.batches import Batches, Inputs
from trainer.fit.checkpoints import Checkpoint, Saved

log = logging.getLogger("crackgate")

History = dict[str, list[float]]

# Seconds of one call into TensorFlow: between calls Python handles interruptions and logs progress.
_SECONDS_AT_ONCE = 0.5
_MOST_STEPS_AT_ONCE = 512
# Seconds between two messages about the same epoch.
_MESSAGE_INTERVAL = 5.0


@dataclass(frozen=True)
class Plan:
    """How long a stage may take; `stage` is its name in messages.

    `batch_size` counts items over all devices. `patience` is the number of epochs without a lower eval loss after which
    the stage stops with the weights of its best epoch; None: the last epoch's weights are kept, whatever their loss.
    """

    stage: str
    batch_size: int
    epochs: int
    patience: int | None


def fit(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss: keras.losses.Loss,
    train: Inputs,
    draw: Callable[[int], np.ndarray],
    validation: Inputs,
    plan: Plan,
    tensorboard_dir: Path,
    checkpoint: Checkpoint | None,
) -> History:
    """Trains a model in place, and leaves it with the weights of the epoch that `plan` keeps.

    Call it within the scope of the strategy in which the model was made. The weights depend on the arguments alone,
    even after a kill.

    Args:
        model: Gives logits.
        optimizer: A new one.
        loss: With reduction "none"; a step lowers its weighted sum over the batch, divided by the batch's items.
        train: Training items.
        draw: From an epoch (counted from 0) to its items in their order; the same items at each call.
        validation: Items whose loss may choose the epoch.
        plan: Sizes and bounds.
        tensorboard_dir: Receives the logs, in `train/` and `validation/`.
        checkpoint: Keeps each epoch, and resumes from it; None to keep nothing.

    Returns:
        loss, accuracy, val_loss and val_accuracy of each epoch, also of the epochs before a kill.

    Raises:
        ValueError: The loss became NaN or infinite.
    """
    optimizer.build(model.trainable_variables)
    train_steps = _Steps(model, loss, train, plan.batch_size, optimizer)
    validation_steps = _Steps(model, loss, validation, plan.batch_size)
    history: History = {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []}
    best_weights = model.get_weights()
    logs = _TensorBoard(tensorboard_dir)
    if checkpoint and (saved := checkpoint.load()):
        history, best_weights = saved.history, saved.best_weights
        for variable, stored in zip(_state(model, optimizer), saved.variables, strict=True):
            variable.assign(stored)
        for epoch in range(len(history["loss"])):
            logs.write(epoch, history)
        log.info("%s: resuming after epoch %d", plan.stage, len(history["loss"]))
    began, first = time.monotonic(), len(history["loss"])
    _check_agreement(first)
    for epoch in range(first, plan.epochs):
        if plan.patience is not None and _epochs_without_gain(history) >= plan.patience:
            break
        progress = _Progress(f"{plan.stage}, epoch {epoch + 1} of {_bound(plan)}")
        measured = (*train_steps.epoch(draw(epoch), progress), *validation_steps.epoch())
        weights = model.get_weights()
        # A ReLU may turn NaN into a number: the losses alone do not show it.
        if not all(np.isfinite(values).all() for values in (measured, *weights)):
            loss = measured[0] if all(np.isfinite(weight).all() for weight in weights) else np.nan
            raise ValueError(
                f"the loss of the {plan.stage} stage is no longer finite ({loss}): "
                "lower train.head_learning_rate or train.fine_tune_learning_rate"
            )
        for measures, value in zip(history.values(), measured, strict=True):
            measures.append(value)
        if plan.patience is None or _epochs_without_gain(history) == 0:
            best_weights = weights
        logs.write(epoch, history)
        if checkpoint:
            variables = [keras.ops.convert_to_numpy(variable) for variable in _state(model, optimizer)]
            checkpoint.save(Saved(variables, best_weights, history))
        left = time_left(time.monotonic() - began, epoch + 1 - first, plan.epochs - first)
        log.info("%s, epoch %d of %s, at most %s: %s", plan.stage, epoch + 1, _bound(plan), left, _say(history, -1))
    model.set_weights(best_weights)
    kept = int(np.argmin(history["val_loss"])) if plan.patience is not None else len(history["loss"]) - 1
    epochs, seconds = counted(len(history["loss"]), "epoch"), time.monotonic() - began
    log.info(
        "%s, %s in %.1f s, epoch %d kept: %s", plan.stage, epochs, seconds, kept + 1, _say(history, kept), extra=LASTING
    )
    return history


def _say(history: History, epoch: int) -> str:
    loss, _, eval_loss, eval_accuracy = (values[epoch] for values in history.values())
    return f"loss {loss:.4f}, eval loss {eval_loss:.4f}, eval accuracy {eval_accuracy:.4f}"


def _bound(plan: Plan) -> str:
    return str(plan.epochs) if plan.patience is None else f"at most {plan.epochs}"


def _check_agreement(epoch: int) -> None:
    """Raises an error if workers begin at different epochs: they would wait for each other for ever."""
    strategy = tf.distribute.get_strategy()
    total = strategy.reduce("SUM", strategy.run(tf.function(lambda: tf.constant(epoch))), axis=None)
    if total != epoch * strategy.num_replicas_in_sync:
        raise ValueError(
            f"this worker has checkpoints of {epoch} epochs, other workers have another number: "
            "give all workers the same work folder, on a file system that they share"
        )


def _state(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Everything that one epoch leaves to the next, with the states of the dropouts' random generators."""
    return [*model.variables, *optimizer.variables]


def _epochs_without_gain(history: History) -> int:
    losses = history["val_loss"]
    return len(losses) - 1 - int(np.argmin(losses)) if losses else 0


class _Steps:
    """The compiled steps of one model on some inputs: training steps with an optimizer, evaluation steps without."""

    def __init__(
        self,
        model: keras.Model,
        loss: keras.losses.Loss,
        inputs: Inputs,
        batch_size: int,
        optimizer: Any = None,
    ):
        strategy = tf.distribute.get_strategy()
        self._batches, self._batch_size = Batches(inputs), batch_size

        def measure(batch: Any, counts: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
            """Weighted losses; their sum and the number of correct classifications."""
            values, labels, weights = self._batches.unpack(batch)
            logits = tf.cast(model(values, training=training), tf.float32)
            losses = loss(labels, logits) * weights * counts
            # In 64 bits it does not matter how many steps one call made.
            correct = tf.cast(tf.argmax(logits, axis=1) == labels, tf.float32) * counts
            return losses, tf.stack([tf.reduce_sum(tf.cast(part, tf.float64)) for part in (losses, correct)])

        def update(gradients: list[tf.Tensor]) -> None:
            optimizer.apply(gradients, model.trainable_variables)

        if not tf.distribute.has_strategy():
            # One pass over the weights instead of one per operation: a quarter of a step's time.
            update = tf.function(update, jit_compile=True, autograph=False)

        def train_step(batch: Any, counts: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                losses, sums = measure(batch, counts, training=True)
                # Optimizers add up the devices' gradients: each device takes its share of the batch's mean.
                share = tf.reduce_sum(losses) / tf.cast(count, tf.float32)
                share += sum(model.losses) / strategy.num_replicas_in_sync
                scaled = optimizer.scale_loss(share)
            gradients = tape.gradient(scaled, model.trainable_variables)
            update(gradients)
            return sums

        def test_step(batch: Any, counts: tf.Tensor, _count: tf.Tensor) -> tf.Tensor:
            return measure(batch, counts, training=False)[1]

        # AutoGraph would take a second to rewrite the step's code.
        @tf.function(reduce_retracing=True, autograph=False)
        def run(batches: Any, times: tf.Tensor) -> tf.Tensor:
            def add_step(done: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                sums = strategy.run(train_step if optimizer else test_step, batches.get_next())
                return done + 1, total + strategy.reduce("SUM", sums, axis=None)

            return tf.while_loop(lambda done, _: done < times, add_step, (0, tf.zeros(2, tf.float64)))[1]

        self._run = run
        self._alone = not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)

    def epoch(self, order: np.ndarray | None = None, progress: "_Progress | None" = None) -> tuple[float, float]:
        """Takes every item of `order` (None: all) once; returns their mean loss and accuracy."""
        order = np.arange(len(self._batches)) if order is None else order
        batches = self._batches.iterate(order, self._batch_size)
        total, done, at_once = np.zeros(2), 0, 1
        count = -(-len(order) // self._batch_size)
        while done < count:
            began = time.monotonic()
            steps = min(at_once, count - done)
            total += self._run(batches, tf.constant(steps)).numpy()
            done += steps
            # Several workers must make the same calls, and their clocks differ.
            if time.monotonic() - began < _SECONDS_AT_ONCE / 2 and self._alone:
                at_once = min(2 * at_once, _MOST_STEPS_AT_ONCE)
            if progress:
                progress.update(done, count)
        loss, accuracy = (total / len(order)).astype(np.float32)
        return float(loss), float(accuracy)


class _Progress:
    """Logs the progress of an epoch every few seconds."""

    def __init__(self, title: str):
        self._title, self._first = title, 0
        self._began = self._logged = time.monotonic()

    def update(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self._first:
            # In the first call TensorFlow compiles the step: the others are much shorter.
            self._first, self._began = done, now
        elif now - self._logged >= _MESSAGE_INTERVAL:
            self._logged = now
            left = time_left(now - self._began, done - self._first, total - self._first)
            log.info("%s: batch %d of %d, %s", self._title, done, total, left)


class _TensorBoard:
    """Loss and accuracy of each epoch, under the names that Keras gives them."""

    def __init__(self, folder: Path):
        self._writers = {
            prefix: tf.summary.create_file_writer(str(folder / name))
            for prefix, name in (("", "train"), ("val_", "validation"))
        }

    def write(self, epoch: int, history: History) -> None:
        for prefix, writer in self._writers.items():
            with writer.as_default():
                for measure in ("loss", "accuracy"):
                    tf.summary.scalar(f"epoch_{measure}", history[prefix + measure][epoch], step=epoch)
                writer.flush()
