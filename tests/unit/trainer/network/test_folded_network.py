"""The network that is served is the Keras model in fewer operations, without its variables."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.frozen_norms import with_frozen_norms
from trainer.network.backbones import as_trunk, build_backbone
from trainer.network.folded_network import fold

Graph = tuple[np.ndarray, list[str], list[tf.Tensor]]


def _run(network: Any, sides: tuple[int | None, ...], values: np.ndarray) -> Graph:
    """In a graph, as serving does: the outputs, the operations' types and the variables that they read."""
    function = tf.function(lambda inputs: network(inputs, training=False), autograph=False)
    concrete = function.get_concrete_function(tf.TensorSpec([None, *sides], tf.float32))
    variables = [captured for captured in concrete.captured_inputs if captured.dtype == tf.resource]
    return (
        concrete(tf.constant(values)).numpy(),
        [operation.type for operation in concrete.graph.get_operations()],
        variables,
    )


def _far(outputs: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(outputs - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("backbone", ["efficientnet-lite0", "MobileNetV2"])
def test_nothing_is_left_of_batchnorm_and_of_variables(backbone: str) -> None:
    keras.utils.set_random_seed(0)
    whole = with_frozen_norms(build_backbone(backbone, 64, "none"))
    model = as_trunk(whole) or whole
    sides = (75, 97) if model is not whole else (64, 64)
    images = np.random.default_rng(0).uniform(0, 255, (2, *sides, 3)).astype(np.float32)
    expected, before, _ = _run(model, model.input_shape[1:], images)
    outputs, operations, variables = _run(fold(model), model.input_shape[1:], images)
    assert _far(outputs, expected) < 1e-5
    # Of the variances.
    assert "Rsqrt" in before and "Rsqrt" not in operations and not variables
    convolutions = {"Conv2D", "DepthwiseConv2dNative"}
    assert sum(map(convolutions.__contains__, operations)) == sum(map(convolutions.__contains__, before))


def test_what_it_does_not_know_stays_the_keras_layer() -> None:
    keras.utils.set_random_seed(0)
    values = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", bias_initializer="normal")(values)
    x = keras.layers.Activation("swish")(keras.layers.BatchNormalization(scale=False)(x))
    x = keras.layers.BatchNormalization(center=False)(keras.layers.DepthwiseConv2D(3, strides=2)(x))
    x = keras.layers.SeparableConv2D(8, 3)(keras.layers.Conv2D(8, 3, dilation_rate=2)(x))
    # One convolution with two that follow it, and a normalisation of something else.
    twice = keras.layers.Conv2D(8, 1)(x)
    x = keras.layers.Add()([keras.layers.BatchNormalization()(twice), twice, x])
    inner = with_frozen_norms(keras.Model(values, keras.layers.BatchNormalization()(keras.layers.ReLU(6.0)(x))))
    unfrozen = keras.layers.BatchNormalization()
    model = keras.Model(values, unfrozen(keras.layers.Conv2D(300, 3)(inner(values))))
    unfrozen.moving_mean.assign(np.linspace(-1, 1, 300))
    images = np.random.default_rng(0).normal(0, 1, (2, 40, 47, 3)).astype(np.float32)
    expected, _, _ = _run(model, model.input_shape[1:], images)
    outputs, _, variables = _run(fold(model), model.input_shape[1:], images)
    assert _far(outputs, expected) < 1e-5
    read = {id(handle) for handle in variables}
    left = {variable.path.split("/")[-2] for variable in model.variables if id(variable.value.handle) in read}
    assert unfrozen.name in left and not any(name.startswith("depthwise") for name in left)


def test_a_model_without_a_convolution_runs_as_it_is() -> None:
    head = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
    assert fold(head) is head
