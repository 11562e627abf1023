"""Batches of inputs for the steps of a stage, on one device or several."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.input_pipeline import untuned

# Bytes of inputs that are laid on the device whole: a pipeline takes longer than the step of a small head.
_MOST_ON_DEVICE = 2**28


@dataclass(frozen=True)
class Inputs:
    """The items of training or evaluation; the model gets them as float32.

    `values`: float16 or float32 (items, ...), often mapped from a file. `labels`: int64 (items,). `weights`: float32
    (items,), each item's weight in the loss; None for 1. `fresh` has further items, whose numbers follow; its owner
    replaces them between two epochs.
    """

    values: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None = None
    fresh: "Inputs | None" = None

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Values, labels and weights, without the fresh items."""
        weights = np.ones(len(self.labels), np.float32) if self.weights is None else self.weights
        return self.values, self.labels, weights

    def read(self, items: np.ndarray) -> list[np.ndarray]:
        """Values, labels and weights of the items, int (n,), in rising order: a file is read forwards."""
        items, count = np.sort(items), len(self.labels)
        parts = [array[items[items < count]] for array in self.arrays()]
        if self.fresh is None:
            return parts
        fresh = self.fresh.read(items[items >= count] - count)
        return [np.concatenate(pair) for pair in zip(parts, fresh, strict=True)]


class Batches:
    """Gives batches of inputs, from the device or read in the background, within the strategy's scope."""

    def __init__(self, inputs: Inputs):
        self._inputs = inputs
        self._on_device: tuple[tf.Tensor, ...] | None = None
        alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
        if alone and inputs.fresh is None and inputs.values.nbytes <= _MOST_ON_DEVICE:
            self._on_device = tuple(map(tf.constant, inputs.arrays()))

    def __len__(self) -> int:
        """Number of items, without the fresh ones."""
        return len(self._inputs.labels)

    def iterate(self, order: np.ndarray, batch_size: int) -> Iterator:
        """Gives, for each step and device of this worker, what `unpack` takes, 1.0 or 0.0, and the batch's size.

        `order` holds the items, int (n,). `batch_size` counts items over all devices; 0.0 marks a device without one.
        """

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
                    # TensorFlow cannot convolve an empty batch.
                    return tf.cond(tf.size(items) > 0, lambda: (items, 1.0, count), lambda: (batch[:1], 0.0, count))

                return tf.data.Dataset.range(first, first + here).map(share)

            return items.flat_map(shares).map(self._read).prefetch(2 * here)

        return iter(
            tf.distribute.get_strategy().distribute_datasets_from_function(
                lambda worker: of_worker(worker).with_options(untuned())
            )
        )

    def unpack(self, batch: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Values as float32, labels and weights; called within a step."""
        if self._on_device:
            batch = tuple(tf.gather(array, batch) for array in self._on_device)
        values, labels, weights = batch
        return tf.cast(values, tf.float32), labels, weights

    def _read(
        self, items: tf.Tensor, counts: tf.Tensor, count: tf.Tensor
    ) -> tuple[tuple[tf.Tensor, ...], tf.Tensor, tf.Tensor]:
        arrays = self._inputs.arrays()
        batch = tf.numpy_function(self._inputs.read, [items], [tf.as_dtype(array.dtype) for array in arrays])
        for tensor, array in zip(batch, arrays, strict=True):
            tensor.set_shape((None, *array.shape[1:]))
        return tuple(batch), counts, count
