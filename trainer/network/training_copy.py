"""A copy of a network that trains faster on a CPU, or in 16 bits; its weights are copied back."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.network.folded_backbone import freeze_batch_norm
from trainer.network.precision import asks_full_precision

# Input pixels times output pixels of a depthwise convolution up to which matrices are faster: 10x10 to 5x5.
_MOST_PAIRS = 2500


def training_copy(model: keras.Model, policy: str) -> keras.Model:
    """Returns a functional model that computes the same and has weights of its own, made in the strategy in scope.

    `policy` is Keras' dtype policy, such as "float32" or "mixed_bfloat16". Averages stay in float32, and so do layers
    that ask for full precision.
    A 1x1 convolution becomes a dense layer, a small depthwise one has matrix products as gradients, and every
    BatchNormalization is frozen.
    """

    def copied(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if isinstance(layer, keras.Layer) and not _stays_float32(layer):
            config["dtype"] = policy
        if _is_pointwise(layer):
            wanted = ("name", "trainable", "dtype", "use_bias", "activation")
            return keras.layers.Dense(layer.filters, **{name: config[name] for name in wanted})
        if _may_have_matrix_gradients(layer):
            return _DepthwiseConv2D.from_config(config)
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    # A layer that is made of others forgets in its copy that these were frozen.
    freeze_batch_norm(copy)
    copy_weights(model, copy)
    return copy


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Gives `target` the weights of `source`: one of them is the training copy of the other."""
    target.set_weights(
        [values.reshape(variable.shape) for values, variable in zip(source.get_weights(), target.weights, strict=True)]
    )


def _stays_float32(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.GlobalAveragePooling2D) or asks_full_precision(layer)


def _is_pointwise(layer: keras.Layer) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and tuple(layer.kernel_size) == tuple(layer.strides) == (1, 1)
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )


def _may_have_matrix_gradients(layer: keras.Layer) -> bool:
    return (
        type(layer) is keras.layers.DepthwiseConv2D
        and not tf.config.list_logical_devices("GPU")
        and layer.data_format == "channels_last"
        and layer.depth_multiplier == 1
        and tuple(layer.dilation_rate) == (1, 1)
        and layer.strides[0] == layer.strides[1]
    )


class _DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras' layer with gradients by matrix products for small images; channels last, one output per channel."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """From (batch, H, W, channels) to the convolution's outputs."""
        sides = (*inputs.shape[1:3], *self.compute_output_shape(inputs.shape)[1:3])
        if None in sides or math.prod(sides) > _MOST_PAIRS:
            return super().call(inputs)
        outputs = _depthwise(inputs, tf.convert_to_tensor(self.kernel), self.strides[0], self.padding.upper())
        if self.use_bias:
            outputs += tf.convert_to_tensor(self.bias)
        return self.activation(outputs)


def _depthwise(inputs: tf.Tensor, kernel: tf.Tensor, stride: int, padding: str) -> tf.Tensor:
    """A depthwise convolution of (batch, H, W, channels) by (kernel H, kernel W, channels, 1), "SAME" or "VALID"."""
    strides = [1, stride, stride, 1]
    sides = [
        _Side(pixels, taps, stride, padding) for pixels, taps in zip(inputs.shape[1:3], kernel.shape[:2], strict=True)
    ]
    (height, width), channels = inputs.shape[1:3], inputs.shape[3]
    out_pixels, taps = sides[0].outputs * sides[1].outputs, kernel.shape[0] * kernel.shape[1]
    used = np.einsum("aiu,bjv->abijuv", *(side.used() for side in sides)).reshape(-1, taps)

    @tf.custom_gradient
    def convolved(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[..., Any]]:
        def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # For each channel, the convolution is a matrix from input pixels to output pixels, with a weight of the
            # kernel wherever a tap connects them.
            connected = tf.constant(used, inputs.dtype)
            read = tf.reshape(tf.transpose(inputs, (3, 0, 1, 2)), (channels, -1, height * width))
            written = tf.reshape(tf.transpose(upstream, (3, 1, 2, 0)), (channels, out_pixels, -1))
            of_matrix = tf.reshape(written @ read, (channels, -1))
            of_kernel = tf.matmul(connected, of_matrix, transpose_a=True, transpose_b=True)
            matrix = tf.matmul(tf.reshape(kernel, (taps, channels)), connected, transpose_a=True, transpose_b=True)
            of_inputs = tf.matmul(tf.reshape(matrix, (channels, out_pixels, -1)), written, transpose_a=True)
            of_inputs = tf.transpose(tf.reshape(of_inputs, (channels, height, width, -1)), (3, 1, 2, 0))
            return of_inputs, tf.reshape(of_kernel, kernel.shape)

        return tf.nn.depthwise_conv2d(inputs, kernel, strides, padding), gradients

    return convolved(inputs, kernel)


@dataclass(frozen=True)
class _Side:
    """One direction of a convolution: input pixels, taps of its kernel, stride, and "SAME" or "VALID"."""

    inputs: int
    taps: int
    stride: int
    padding: str

    @property
    def outputs(self) -> int:
        reach = 1 if self.padding == "SAME" else self.taps
        return (self.inputs - reach) // self.stride + 1

    def used(self) -> np.ndarray:
        """(outputs, inputs, taps): 1 where an output reads an input through a tap, otherwise 0."""
        # TensorFlow puts the larger half of the padding behind.
        missing = (self.outputs - 1) * self.stride + self.taps - self.inputs
        before = max(missing, 0) // 2 if self.padding == "SAME" else 0
        output, read, tap = np.ogrid[: self.outputs, : self.inputs, : self.taps]
        return (output * self.stride + tap - before == read).astype(np.float32)
