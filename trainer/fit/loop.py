"""Fitting one stage, epoch by epoch: on one device or several, and resumable to the same weights.

Keras' own `fit` will not do: its order of the batches cannot be resumed, it has no MultiWorkerMirroredStrategy, and
it spends more time between the steps of a small head than in them.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.fit.checkpoints import Checkpoint, Saved
from trainer.fit.time_left import time_left
from trainer.input_pipeline import untuned
from trainer.network.lean_network import lean

log = logging.getLogger("crackgate")

History = dict[str, list[float]]

# Seconds of one call into TensorFlow: between calls Python hears an interruption and says how far it is.
_SECONDS_AT_ONCE = 0.5
_MOST_STEPS_AT_ONCE = 512
# Bytes of inputs that are laid on the device whole.
_MOST_ON_DEVICE = 2**30
# Seconds between two messages about the same epoch.
_MESSAGE_INTERVAL = 5.0


@dataclass(frozen=True)
class Inputs:
    """What a model is trained or measured on.

    Attributes:
        values: float16 or float32 (items, ...), often a file mapped into memory; the model gets them as float32.
        labels: int64 (items,).
        weights: float32 (items,), the weight of each item's loss; None for 1.
    """

    values: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class Plan:
    """How long a stage may take.

    Attributes:
        stage: Its name in messages.
        batch_size: Items per step, over all devices together.
        epochs: At most so many.
        patience: Epochs without a lower eval loss after which the stage stops.
        dtype: What steps compute in on one CPU, "float32" or "bfloat16"; the eval loss is always float32's.
    """

    stage: str
    batch_size: int
    epochs: int
    patience: int
    dtype: str = "float32"


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
    """Trains a model in place and leaves it with the weights of the epoch of the lowest eval loss.

    Call it within the scope of the strategy in which the model was made. The weights depend on the arguments only, not
    on how often the training was killed and called again.

    Args:
        model: Gives logits.
        optimizer: A new one.
        loss: With reduction "none"; a step lowers its weighted sum over the batch, divided by the batch's items.
        train: What the model learns from.
        draw: Gives the items of an epoch (counted from 0) in their order; the same ones each time it is asked.
        validation: What chooses the epoch.
        plan: Sizes and bounds.
        tensorboard_dir: Receives the logs, in `train/` and `validation/`.
        checkpoint: Where each epoch is kept, and taken up again; None to keep nothing.

    Returns:
        loss, accuracy, val_loss and val_accuracy of each epoch, those before a kill included.

    Raises:
        ValueError: The loss became NaN or infinite.
    """
    optimizer.build(model.trainable_variables)
    train_steps = _Steps(model, plan.dtype, loss, train, plan.batch_size, optimizer)
    # What chooses the epoch is what is exported: in float32.
    validation_steps = _Steps(model, "float32", loss, validation, plan.batch_size)
    history: History = {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []}
    best_weights = model.get_weights()
    logs = _TensorBoard(tensorboard_dir)
    if checkpoint and (saved := checkpoint.load()):
        history, best_weights = saved.history, saved.best_weights
        for variable, stored in zip(_state(model, optimizer), saved.variables, strict=True):
            variable.assign(stored)
        for epoch in range(len(history["loss"])):
            logs.write(epoch, history)
        log.info("%s: epochs up to %d were done before", plan.stage, len(history["loss"]))
    began, first = time.monotonic(), len(history["loss"])
    _check_agreement(first)
    for epoch in range(first, plan.epochs):
        if _epochs_without_gain(history) >= plan.patience:
            break
        progress = _Messages(f"{plan.stage}, epoch {epoch + 1} of at most {plan.epochs}")
        measured = (*train_steps.epoch(draw(epoch), progress), *validation_steps.epoch())
        weights = model.get_weights()
        # A ReLU may turn NaN into a number, so that the losses alone would not tell.
        if not all(np.isfinite(values).all() for values in (measured, *weights)):
            loss = measured[0] if all(np.isfinite(weight).all() for weight in weights) else np.nan
            raise ValueError(
                f"the loss of the {plan.stage} stage is no longer finite ({loss}): "
                "lower train.head_learning_rate or train.fine_tune_learning_rate"
            )
        for measures, value in zip(history.values(), measured, strict=True):
            measures.append(value)
        if _epochs_without_gain(history) == 0:
            best_weights = weights
        logs.write(epoch, history)
        if checkpoint:
            variables = [keras.ops.convert_to_numpy(variable) for variable in _state(model, optimizer)]
            checkpoint.save(Saved(variables, best_weights, history))
        log.info(
            "%s, epoch %d of at most %d: eval loss %.4f, accuracy %.4f, at most %s",
            plan.stage,
            epoch + 1,
            plan.epochs,
            history["val_loss"][-1],
            history["val_accuracy"][-1],
            time_left(time.monotonic() - began, epoch + 1 - first, plan.epochs - first),
        )
    model.set_weights(best_weights)
    return history


def _check_agreement(epoch: int) -> None:
    """Workers that began at different epochs would wait for each other for ever."""
    strategy = tf.distribute.get_strategy()
    total = strategy.reduce("SUM", strategy.run(tf.function(lambda: tf.constant(epoch))), axis=None)
    if total != epoch * strategy.num_replicas_in_sync:
        raise ValueError(
            f"this worker has checkpoints of {epoch} epochs and others have not: "
            "give all workers the same work folder, on a file system that they share"
        )


def _state(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Everything that one epoch leaves to the next; the states of the dropouts' random generators are among it."""
    return [*model.variables, *optimizer.variables]


def _epochs_without_gain(history: History) -> int:
    losses = history["val_loss"]
    return len(losses) - 1 - int(np.argmin(losses)) if losses else 0


class _Stored:
    """Inputs where the steps find them: on the device if it is one and they are few, otherwise read in the background.

    From memory to a small head, the way through a pipeline would take longer than the head's step.
    """

    def __init__(self, inputs: Inputs):
        weights = inputs.weights if inputs.weights is not None else np.ones(len(inputs.labels), np.float32)
        self._arrays = (inputs.values, inputs.labels, weights)
        self._on_device: tuple[tf.Tensor, ...] | None = None
        if tf.distribute.get_strategy().num_replicas_in_sync == 1 and inputs.values.nbytes <= _MOST_ON_DEVICE:
            self._on_device = tuple(map(tf.constant, self._arrays))

    def __len__(self) -> int:
        return len(self._arrays[1])

    def batches(self, order: np.ndarray, batch_size: int) -> Iterator:
        """For each step and device of this worker: what `taken` understands, 1.0 (0.0: ignore it), batch size."""

        def of_worker(worker: tf.distribute.InputContext) -> tf.data.Dataset:
            items = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
            if self._on_device:
                # Without a function: to trace one takes as long as many steps of a small head.
                counts = np.minimum(batch_size, len(order) - np.arange(0, len(order), batch_size))
                once = tf.data.Dataset.from_tensors(1.0).repeat()
                return tf.data.Dataset.zip((items, once, tf.data.Dataset.from_tensor_slices(counts)))
            devices = worker.num_replicas_in_sync
            here = devices // worker.num_input_pipelines
            first = worker.input_pipeline_id * here

            def shares(batch: tf.Tensor) -> tf.data.Dataset:
                count = tf.size(batch, out_type=tf.int64)

                def share(device: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
                    items = batch[device * count // devices : (device + 1) * count // devices]
                    # TensorFlow cannot convolve nothing: who gets no item takes one that does not count.
                    return tf.cond(tf.size(items) > 0, lambda: (items, 1.0, count), lambda: (batch[:1], 0.0, count))

                return tf.data.Dataset.range(first, first + here).map(share)

            return items.flat_map(shares).map(self._read).prefetch(2 * here)

        return iter(
            tf.distribute.get_strategy().distribute_datasets_from_function(
                lambda worker: of_worker(worker).with_options(untuned())
            )
        )

    def taken(self, batch: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Values as float32, labels and weights; called within a step."""
        if self._on_device:
            batch = tuple(tf.gather(array, batch) for array in self._on_device)
        values, labels, weights = batch
        return tf.cast(values, tf.float32), labels, weights

    def _read(
        self, items: tf.Tensor, counts: tf.Tensor, count: tf.Tensor
    ) -> tuple[tuple[tf.Tensor, ...], tf.Tensor, tf.Tensor]:
        def read(chosen: np.ndarray) -> list[np.ndarray]:
            # In sorted order a file is read forwards.
            chosen = np.sort(chosen)
            return [array[chosen] for array in self._arrays]

        batch = tf.numpy_function(read, [items], [tf.as_dtype(array.dtype) for array in self._arrays])
        for tensor, array in zip(batch, self._arrays, strict=True):
            tensor.set_shape((None, *array.shape[1:]))
        return tuple(batch), counts, count


class _Steps:
    """The compiled steps of one model on some inputs: of training with an optimizer, of measuring without."""

    def __init__(
        self,
        model: keras.Model,
        dtype: str,
        loss: keras.losses.Loss,
        inputs: Inputs,
        batch_size: int,
        optimizer: Any = None,
    ):
        strategy = tf.distribute.get_strategy()
        self._stored, self._batch_size = _Stored(inputs), batch_size
        network = lean(model, dtype)

        def measure(batch: Any, counts: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
            """Weighted losses, and their sum beside the number of right answers."""
            values, labels, weights = self._stored.taken(batch)
            logits = tf.cast(network(values, training=training), tf.float32)
            losses = loss(labels, logits) * weights * counts
            # In 64 bits it does not matter how many steps one call made.
            right = tf.cast(tf.argmax(logits, axis=1) == labels, tf.float32) * counts
            return losses, tf.stack([tf.reduce_sum(tf.cast(part, tf.float64)) for part in (losses, right)])

        def train_step(batch: Any, counts: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                losses, sums = measure(batch, counts, training=True)
                # Optimizers add up the devices' gradients, so each device takes its share of the whole batch's mean.
                share = tf.reduce_sum(losses) / tf.cast(count, tf.float32)
                share += sum(model.losses) / strategy.num_replicas_in_sync
                scaled = optimizer.scale_loss(share)
            gradients = tape.gradient(scaled, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            return sums

        def test_step(batch: Any, counts: tf.Tensor, _count: tf.Tensor) -> tf.Tensor:
            return measure(batch, counts, training=False)[1]

        # Without AutoGraph, which would take a second to rewrite the network's code.
        @tf.function(reduce_retracing=True, autograph=False)
        def run(batches: Any, times: tf.Tensor) -> tf.Tensor:
            def add_step(done: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                sums = strategy.run(train_step if optimizer else test_step, batches.get_next())
                return done + 1, total + strategy.reduce("SUM", sums, axis=None)

            return tf.while_loop(lambda done, _: done < times, add_step, (0, tf.zeros(2, tf.float64)))[1]

        self._run = run
        self._alone = not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)

    def epoch(self, order: np.ndarray | None = None, messages: "_Messages | None" = None) -> tuple[float, float]:
        """Takes every item of `order` (None: all) once, and gives their mean loss and accuracy."""
        order = np.arange(len(self._stored)) if order is None else order
        batches = self._stored.batches(order, self._batch_size)
        total, done, at_once = np.zeros(2), 0, 1
        count = -(-len(order) // self._batch_size)
        while done < count:
            began = time.monotonic()
            steps = min(at_once, count - done)
            total += self._run(batches, tf.constant(steps)).numpy()
            done += steps
            # Several workers have to make the same calls, and their clocks differ.
            if time.monotonic() - began < _SECONDS_AT_ONCE / 2 and self._alone:
                at_once = min(2 * at_once, _MOST_STEPS_AT_ONCE)
            if messages:
                messages.tell(done, count)
        loss, accuracy = (total / len(order)).astype(np.float32)
        return float(loss), float(accuracy)


class _Messages:
    """Says now and then how far an epoch is."""

    def __init__(self, what: str):
        self._what = what
        self._began = self._told = time.monotonic()

    def tell(self, done: int, total: int) -> None:
        """Logs, if the last message is old enough."""
        now = time.monotonic()
        if now - self._told >= _MESSAGE_INTERVAL:
            self._told = now
            left = time_left(now - self._began, done, total)
            log.info("%s: batch %d of %d, %s", self._what, done, total, left)


class _TensorBoard:
    """Loss and accuracy of each epoch, under the names that Keras gives them."""

    def __init__(self, folder: Path):
        self._writers = {
            prefix: tf.summary.create_file_writer(str(folder / name))
            for prefix, name in (("", "train"), ("val_", "validation"))
        }

    def write(self, epoch: int, history: History) -> None:
        """Writes the measures of one epoch."""
        for prefix, writer in self._writers.items():
            with writer.as_default():
                for measure in ("loss", "accuracy"):
                    tf.summary.scalar(f"epoch_{measure}", history[prefix + measure][epoch], step=epoch)
                writer.flush()
