"""The network that a CPU trains is the Keras model: same outputs, same gradients, same updates."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.frozen_norms import with_frozen_norms
from trainer.network.backbones import build_backbone, split_at_top
from trainer.network.lean_network import lean

Network = Callable[..., tf.Tensor]

# Kernel, stride, padding and side of the map; matrices of places, and at the last TensorFlow's own gradient.
DEPTHWISE = [
    (3, 1, "same", 5),
    (5, 2, "same", 10),
    (5, 2, "same", 9),
    (4, 3, "same", 7),
    (3, 2, "valid", 8),
    (3, 1, "same", 12),
]


def _with_head(upper: keras.Model) -> keras.Model:
    cut = keras.Input(upper.input_shape[1:])
    features = keras.layers.GlobalAveragePooling2D()(upper(cut))
    return keras.Model(cut, keras.Sequential([keras.layers.Dropout(0.5, seed=3), keras.layers.Dense(2)])(features))


def _outputs_and_gradients(network: Network, model: keras.Model, training: bool) -> list[np.ndarray]:
    values = np.random.default_rng(0).normal(0.5, 1, (6, *model.input_shape[1:])).astype(np.float32)

    @tf.function(autograph=False)
    def run() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            outputs = network(values, training=training)
            loss = tf.reduce_mean(tf.square(outputs - 1))
        return [outputs, *tape.gradient(loss, model.trainable_variables)]

    return [result.numpy() for result in run()]


def _joined(results: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([result.ravel() for result in results])


def _far(results: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest distance of a tensor from the expected one, as a share of its length."""
    return max(
        float(np.linalg.norm(result - other) / np.linalg.norm(other))
        for result, other in zip(results, expected, strict=True)
    )


@pytest.mark.parametrize(("backbone", "share"), [("efficientnet-lite0", 0.3), ("MobileNetV2", 0.2)])
def test_outputs_and_gradients_are_those_of_the_keras_model(backbone: str, share: float) -> None:
    keras.utils.set_random_seed(0)
    model = _with_head(with_frozen_norms(split_at_top(build_backbone(backbone, 64, "none"), share)[1]))
    expected = _outputs_and_gradients(model, model, training=False)
    results, rough = (_outputs_and_gradients(lean(model, dtype), model, False) for dtype in ("float32", "bfloat16"))
    assert _far(results, expected) < 1e-4
    # Of small gradients, rounding leaves less.
    assert _far([_joined(rough)], [_joined(expected)]) < 0.03
    assert {result.dtype for result in rough} == {np.dtype(np.float32)}


@pytest.mark.parametrize(("taps", "stride", "padding", "side"), DEPTHWISE)
def test_a_depthwise_convolution_has_its_gradients(taps: int, stride: int, padding: str, side: int) -> None:
    keras.utils.set_random_seed(0)
    values = keras.Input((side, side, 8))
    # The one before shows the gradient of the inputs, which must not be a square's: 3 rows less.
    cropped = keras.layers.Cropping2D(((0, 3), (0, 0)))(keras.layers.Conv2D(8, 1)(values))
    outputs = keras.layers.DepthwiseConv2D(taps, stride, padding)(cropped)
    model = keras.Model(values, outputs)
    expected = _outputs_and_gradients(model, model, training=False)
    assert _far(_outputs_and_gradients(lean(model, "float32"), model, training=False), expected) < 1e-5


def test_what_convolutions_may_have_beside_a_kernel_counts() -> None:
    keras.utils.set_random_seed(0)
    values = keras.Input((6, 6, 4))
    biased = keras.layers.Conv2D(8, 1, bias_initializer="normal")(values)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(scale=False)(biased))
    x = keras.layers.BatchNormalization(center=False)(keras.layers.Conv2D(8, 3, groups=2, activation="relu")(x))
    x = keras.layers.ReLU(negative_slope=0.1)(keras.layers.Conv2D(8, 1, strides=2)(x))
    # One convolution with two that follow it, and a normalisation that is not of a convolution.
    twice = keras.layers.Conv2D(8, 1)(x)
    x = keras.layers.Add()([keras.layers.BatchNormalization()(twice), twice, x])
    model = with_frozen_norms(keras.Model(values, keras.layers.BatchNormalization()(keras.layers.ReLU(6.0)(x))))
    expected = _outputs_and_gradients(model, model, training=False)
    assert _far(_outputs_and_gradients(lean(model, "float32"), model, training=False), expected) < 1e-5


def test_dropout_draws_what_it_draws_in_the_keras_model() -> None:
    results = []
    for leaned in (False, True):
        keras.utils.set_random_seed(0)
        values = keras.Input((4, 4, 8))
        model = _with_head(keras.Model(values, keras.layers.Conv2D(8, 1)(values)))
        results.append(_outputs_and_gradients(lean(model, "float32") if leaned else model, model, training=True))
    assert _far(*results) < 1e-5


def test_batchnorm_that_trains_stays_keras_own() -> None:
    values = keras.Input((4, 4, 8))
    model = keras.Model(values, keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 1)(values)))
    expected = _outputs_and_gradients(model, model, training=True)
    assert _far(_outputs_and_gradients(lean(model, "float32"), model, training=True), expected) < 1e-4
    assert (model.layers[-1].moving_mean.numpy() != 0).any()


def test_the_model_itself_computes_what_has_no_convolution_or_other_precision() -> None:
    head = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
    assert lean(head, "bfloat16") is head
    values = keras.Input((4, 4, 8))
    mixed = keras.Model(values, keras.layers.Conv2D(8, 1, dtype="mixed_bfloat16")(values))
    assert lean(mixed, "float32") is mixed


def test_several_devices_compute_the_model_itself() -> None:
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        values = keras.Input((4, 4, 8))
        model = keras.Model(values, keras.layers.Conv2D(8, 1)(values))
        assert lean(model, "float32") is model
