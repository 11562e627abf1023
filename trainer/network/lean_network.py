"""The network in fewer and cheaper operations, for training on a CPU. The Keras model keeps its variables.

- Convolution, frozen BatchNorm and ReLU are one operation; BatchNorm's scale is multiplied into the kernel.
- A 1x1 convolution and the gradients of a small depthwise one are matrix products.
- All of it may compute in bfloat16. Sums of products, variables, averages, logits and the loss stay in float32.
- Unknown layers run as Keras layers, in float32.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Input pixels times output pixels of a depthwise convolution up to which matrices are faster: 10x10 to 5x5.
_MOST_PAIRS = 2500


def lean(model: keras.Model, dtype: str) -> Callable[..., tf.Tensor]:
    """Returns a function that computes a model's outputs for a training step, called like the model.

    `model` has one float32 input and output. `dtype` "float32" equals the model to within rounding; the other is
    "bfloat16". A model without convolution, on a GPU, on several devices or not in float32 is returned itself.
    """
    if tf.distribute.has_strategy() or tf.config.list_logical_devices("GPU") or not has_convolution(model):
        return model
    return LeanNetwork(model, dtype)


def has_convolution(model: keras.Model) -> bool:
    """Whether `LeanNetwork` can compute a model, and faster."""
    layers = model._flatten_layers(include_self=False)
    return isinstance(model, keras.Function) and any(map(_is_known_convolution, layers))


def _is_known_convolution(layer: Any) -> bool:
    return (
        type(layer) in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
        and layer.data_format == "channels_last"
        and layer.activation is keras.activations.linear
        and tuple(layer.dilation_rate) == (1, 1)
        and getattr(layer, "groups", 1) == getattr(layer, "depth_multiplier", 1) == 1
        and layer.strides[0] == layer.strides[1]
        and layer.padding in ("same", "valid")
        and layer.activity_regularizer is None
        and layer.compute_dtype == "float32"
    )


class LeanNetwork:
    """Computes a model's outputs in its own operations where it knows the layers; called like the model."""

    def __init__(self, model: keras.Model, dtype: str):
        """Takes a model that `has_convolution`; the rest as for `lean`."""
        self._model, self._dtype = model, tf.as_dtype(dtype)

    def __call__(self, values: tf.Tensor, training: bool) -> tf.Tensor:
        """From the model's input to its output."""
        return _finished(self._run(self._model, values, training))

    def _begin(self, layer: Any, inputs: tf.Tensor) -> "Convolution":
        return Convolution(layer, inputs)

    def _run(self, model: keras.Function, values: Any, training: bool) -> Any:
        def applied(operation: Any) -> Callable[..., Any]:
            return lambda *args, **kwargs: self._apply(operation, args, kwargs, training)

        return model._run_through_graph(values, operation_fn=applied)

    def _apply(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], training: bool) -> Any:
        """One operation of the graph. Known operations exchange unfinished convolutions, in `dtype`."""
        if isinstance(operation, keras.Function):
            return self._run(operation, args[0], training)
        if _is_known_convolution(operation):
            return self._begin(operation, tf.cast(_finished(args[0]), self._dtype))
        if _is_frozen_norm(operation) and isinstance(args[0], Convolution) and args[0].norm is None:
            return replace(args[0], norm=operation)
        if _is_plain_relu(operation) and isinstance(args[0], Convolution):
            return args[0].finish(tf.nn.relu6 if operation.max_value else tf.nn.relu)
        if type(operation) is keras.layers.Add:
            return sum(tf.cast(_finished(summand), self._dtype) for summand in args[0])
        args, kwargs = keras.tree.map_structure(_as_keras_expects, (args, kwargs))
        return operation(*args, **(kwargs | {"training": training} if isinstance(operation, keras.Layer) else kwargs))


def _is_frozen_norm(layer: Any) -> bool:
    return type(layer) is keras.layers.BatchNormalization and not layer.trainable and layer.axis in (-1, 3)


def _is_plain_relu(layer: Any) -> bool:
    return (
        type(layer) is keras.layers.ReLU
        and layer.max_value in (None, 6)
        and layer.negative_slope == 0
        and layer.threshold == 0
    )


@dataclass(frozen=True)
class Convolution:
    """A convolution whose `inputs` wait for the layers after it, such as the frozen BatchNorm `norm`."""

    layer: Any
    inputs: tf.Tensor
    norm: Any = None

    @cached_property
    def finished(self) -> tf.Tensor:
        """Its outputs without an activation, computed once for all layers that take them."""
        return self.finish(tf.identity)

    def finish(self, activation: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """Its outputs after an activation."""
        kernel, offset = self._folded()
        kernel = tf.cast(kernel, self.inputs.dtype)

        def completed(outputs: tf.Tensor) -> tf.Tensor:
            if offset is not None:
                outputs = tf.nn.bias_add(outputs, tf.cast(offset, outputs.dtype))
            return activation(outputs)

        return self._computed(kernel, completed)

    def _computed(self, kernel: tf.Tensor, completed: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        strides, padding = self.layer.strides, self.layer.padding.upper()
        if self._is_depthwise:
            return completed(_depthwise(self.inputs, kernel, strides[0], padding))
        if tuple(kernel.shape[:2]) != (1, 1) or strides[0] > 1:
            return completed(tf.nn.conv2d(self.inputs, kernel, strides, padding))
        channels, filters = kernel.shape[2:]
        # TensorFlow fuses product, offset and activation if nothing comes between them.
        rows = completed(tf.reshape(self.inputs, (-1, channels)) @ tf.reshape(kernel, (channels, filters)))
        return tf.reshape(rows, tf.concat([tf.shape(self.inputs)[:3], [filters]], axis=0))

    def _folded(self) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Kernel and offset, in float32, with BatchNorm multiplied in."""
        kernel = tf.convert_to_tensor(self.layer.kernel)
        bias = tf.convert_to_tensor(self.layer.bias) if self.layer.use_bias else None
        if self.norm is None:
            return kernel, bias
        scale = tf.math.rsqrt(self.norm.moving_variance + self.norm.epsilon)
        if self.norm.scale:
            scale *= self.norm.gamma
        offset = (0.0 if bias is None else bias) - self.norm.moving_mean
        offset *= scale
        if self.norm.center:
            offset += self.norm.beta
        # A depthwise kernel has its channels on the axis before the last.
        return kernel * (scale[:, None] if self._is_depthwise else scale), offset

    @property
    def _is_depthwise(self) -> bool:
        return isinstance(self.layer, keras.layers.DepthwiseConv2D)


def _finished(value: Any) -> Any:
    return value.finished if isinstance(value, Convolution) else value


def _as_keras_expects(value: Any) -> Any:
    value = _finished(value)
    return tf.cast(value, tf.float32) if tf.is_tensor(value) and value.dtype == tf.bfloat16 else value


def _depthwise(inputs: tf.Tensor, kernel: tf.Tensor, stride: int, padding: str) -> tf.Tensor:
    """A depthwise convolution of (batch, H, W, channels) by (kernel H, kernel W, channels, 1), "SAME" or "VALID"."""
    strides = [1, stride, stride, 1]
    sides = [
        _Side(pixels, taps, stride, padding) for pixels, taps in zip(inputs.shape[1:3], kernel.shape[:2], strict=True)
    ]
    if np.prod([side.inputs * side.outputs for side in sides]) > _MOST_PAIRS:
        return tf.nn.depthwise_conv2d(inputs, kernel, strides, padding)
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
