"""The network for serving: BatchNorm is folded into the kernels once, at export."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from trainer.network.lean_network import Convolution, LeanNetwork, has_convolution

# Elements of a kernel up to which it is a constant of the function: TensorFlow prepares it once, not for each call, but
# a loaded SavedModel holds some twenty copies. Larger kernels are captured, and stored once.
_MOST_CONSTANT = 30_000


def fold(model: keras.Model) -> Callable[..., tf.Tensor]:
    """Returns a function that computes a model's outputs, to within rounding, in a `tf.function` on any device.

    `model` has one input and one output, and its weights must not change any more. The function takes values and
    `training=False`. Unknown layers and BatchNorm that is not frozen run as Keras layers.
    """
    return _FoldedNetwork(model, "float32") if has_convolution(model) else model


class _FoldedNetwork(LeanNetwork):
    def _begin(self, layer: Any, inputs: tf.Tensor) -> Convolution:
        return _FoldedConvolution(layer, inputs)


class _FoldedConvolution(Convolution):
    def _folded(self) -> tuple[tf.Tensor, tf.Tensor | None]:
        with tf.init_scope():
            kernel, offset = super()._folded()
        return _stored(kernel), None if offset is None else _stored(offset)

    def _computed(self, kernel: tf.Tensor, completed: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        strides, padding = self.layer.strides, self.layer.padding.upper()
        if self._is_depthwise:
            return completed(tf.nn.depthwise_conv2d(self.inputs, kernel, (1, *strides, 1), padding))
        return completed(tf.nn.conv2d(self.inputs, kernel, strides, padding))


def _stored(weights: tf.Tensor) -> tf.Tensor:
    """Brings weights from outside the graph into it."""
    return tf.constant(weights.numpy()) if weights.shape.num_elements() <= _MOST_CONSTANT else weights
