"""Batches of inputs for the steps of a stage, on one device or several."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from trainer.input_pipeline import untuned

# Bytes of inputs that are laid on the device whole: a pipeline takes longer than the step of a small head.
_MOST_ON_DEVICE = 2**30


@dataclass(frozen=True)
class Inputs:
    """The items of training or evaluation; the model gets them as float32.

    `values`: float16 or float32 (items, ...), often mapped from a file. `labels`: int64 (items,). `weights`: float32
    (items,), each item's weight in the loss; None for 1.
    """

    values: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None = None


class Batches:
    """Gives batches of inputs, from the device or read in the background, within the strategy's scope."""

    def __init__(self, inputs: Inputs):
        weights = inputs.weights if inputs.weights is not None else np.ones(len(inputs.labels), np.float32)
        self._arrays = (inputs.values, inputs.labels, weights)
        self._on_device: tuple[tf.Tensor, ...] | None = None
        if tf.distribute.get_strategy().num_replicas_in_sync == 1 and inputs.values.nbytes <= _MOST_ON_DEVICE:
            self._on_device = tuple(map(tf.constant, self._arrays))

    def __len__(self) -> int:
        """Number of items."""
        return len(self._arrays[1])

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
        def read(chosen: np.ndarray) -> list[np.ndarray]:
            # In sorted order a file is read forwards.
            chosen = np.sort(chosen)
            return [array[chosen] for array in self._arrays]

        batch = tf.numpy_function(read, [items], [tf.as_dtype(array.dtype) for array in self._arrays])
        for tensor, array in zip(batch, self._arrays, strict=True):
            tensor.set_shape((None, *array.shape[1:]))
        return tuple(batch), counts, count
