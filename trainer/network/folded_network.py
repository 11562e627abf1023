"""The same network for serving, where BatchNorm does not change any more: it is folded into kernels once, at export.

Of a model, TensorFlow computes BatchNorm apart from the convolution before it, and reads four variables for each. Here
the convolution, its offset and the ReLU after it become one operation: with EfficientNet-Lite0 and JPEG photographs, a
batch takes a quarter less CPU time. They stay convolutions, which OpenVINO and TensorFlow Lite know best.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from trainer.network.lean_network import Convolution, LeanNetwork, has_convolution

# Elements of a kernel up to which it is a constant within the function. TensorFlow prepares such a kernel once, and not
# for each call, but whoever loads a SavedModel holds some twenty copies of it. Larger ones are captured: handed to the
# function whenever it is called, and stored once.
_MOST_CONSTANT = 30_000


def fold(model: keras.Model) -> Callable[..., tf.Tensor]:
    """Returns what computes a model for inference, within a `tf.function`, on any device.

    Args:
        model: Of one input and one output, whose weights do not change any more.

    Returns:
        To be called with values and `training=False`: to within rounding what the model gives. What it does not know
        runs as the Keras layer, and so does BatchNorm that is not frozen.
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
    """From outside the graph into it."""
    return tf.constant(weights.numpy()) if weights.shape.num_elements() <= _MOST_CONSTANT else weights
