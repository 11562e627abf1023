"""A backbone whose frozen BatchNorm is part of its convolutions: a plain Keras model, which is also served."""

from typing import Any

import keras
import numpy as np

from trainer.network.graph import read_calls
from trainer.network.precision import FULL_PRECISION, asks_full_precision

# Their kernels have the output channels on the last axis, or, of a depthwise one, on the axis before it.
_FOLDABLE = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def fold_batch_norm(backbone: keras.Model) -> keras.Model:
    """Returns a functional model with the same outputs to within rounding, in inference mode.

    Each BatchNormalization that alone follows a convolution without an activation is multiplied into kernel and bias.
    Any other layer is copied with its weights, and a BatchNormalization that is left is frozen.
    """
    norms = _foldable_norms(backbone)
    folded = {norm.name for norm in norms.values()}

    def copied(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if layer.name in norms:
            config["use_bias"] = True
        # As numbers: Keras forgets learnt statistics when such a layer gets weights.
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            for name, values in (("mean", layer.adapt_mean), ("variance", layer.adapt_variance)):
                config[name] = keras.ops.convert_to_numpy(values).tolist()
        copy = type(layer).from_config(config)
        if asks_full_precision(layer):
            copy.dtype_policy = FULL_PRECISION
        return copy

    def called(layer: keras.Layer, *inputs: Any, **arguments: Any) -> Any:
        return inputs[0] if layer.name in folded else layer(*inputs, **arguments)

    plain = keras.models.clone_model(backbone, clone_function=copied, call_function=called)
    for layer in filter(lambda layer: layer.weights, plain.layers):
        original = backbone.get_layer(layer.name)
        layer.set_weights(_folded(original, norms[layer.name]) if layer.name in norms else original.get_weights())
    freeze_batch_norm(plain)
    return plain


def freeze_batch_norm(model: keras.Model) -> None:
    """Freezes every BatchNormalization of a model."""
    # Layers that are made of others, such as a user's own, have no public list of them.
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def _foldable_norms(backbone: keras.Model) -> dict[str, keras.layers.BatchNormalization]:
    """The BatchNormalization to fold, by the name of its convolution."""
    calls = read_calls(backbone)
    layers = {layer.name: layer for layer in backbone.layers}
    consumers: dict[str, list[str]] = {}
    for name, of_operation in calls.items():
        for source in (source for call in of_operation for source in call):
            consumers.setdefault(source, []).append(name)
    ends = {id(tensor) for tensor in keras.tree.flatten(backbone.output)}
    found = {}
    for layer in backbone.layers:
        if type(layer) not in _FOLDABLE or len(calls[layer.name]) != 1 or id(layer.output) in ends:
            continue
        followers = consumers.get(layer.name, [])
        norm: Any = layers.get(followers[0]) if len(followers) == 1 else None
        if (
            layer.activation is keras.activations.linear
            and layer.data_format == "channels_last"
            and type(norm) is keras.layers.BatchNormalization
            and norm.axis in (-1, 3)
            and len(calls[norm.name]) == 1
        ):
            found[layer.name] = norm
    return found


def _folded(convolution: keras.Layer, norm: keras.layers.BatchNormalization) -> list[np.ndarray]:
    kernel, *bias = convolution.get_weights()
    mean, variance = (keras.ops.convert_to_numpy(value) for value in (norm.moving_mean, norm.moving_variance))
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        scale = scale * keras.ops.convert_to_numpy(norm.gamma)
    offset = ((bias[0] if bias else 0.0) - mean) * scale
    if norm.center:
        offset = offset + keras.ops.convert_to_numpy(norm.beta)
    if isinstance(convolution, keras.layers.DepthwiseConv2D):
        channels, multiplier = kernel.shape[-2:]
        return [kernel * scale.reshape(channels, multiplier), offset]
    return [kernel * scale, offset]
