"""A training copy computes what the model computes, and its gradients are TensorFlow's, in whatever layers it has."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import pytest
import tensorflow as tf

from crackgate.config.train import TrainOptions
from tests.helpers.disturbed_norms import with_disturbed_norms
from trainer.network.backbones import build_backbone, split_at_top
from trainer.network.classifier import assemble, build_head
from trainer.network.folded_backbone import fold_batch_norm
from trainer.network.training_copy import copy_weights, training_copy

layers = keras.layers

# Kernel, stride, padding and side of the map; matrices of places, and at the last TensorFlow's own gradient.
DEPTHWISE = [
    (3, 1, "same", 5),
    (5, 2, "same", 10),
    (5, 2, "same", 9),
    (4, 3, "same", 7),
    (3, 2, "valid", 8),
    (3, 1, "same", 12),
]


def _outputs_and_gradients(model: keras.Model, training: bool = False) -> list[np.ndarray]:
    values = np.random.default_rng(0).normal(0.5, 1, (6, *model.input_shape[1:])).astype(np.float32)

    @tf.function(autograph=False)
    def run() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            outputs = tf.cast(model(values, training=training), tf.float32)
            loss = tf.reduce_mean(tf.square(outputs - 1))
        return [outputs, *tape.gradient(loss, model.trainable_variables)]

    return [result.numpy() for result in run()]


def _far(results: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest distance of a tensor from the expected one, as a share of its length."""
    return max(
        float(np.linalg.norm(result.ravel() - other.ravel()) / np.linalg.norm(other))
        for result, other in zip(results, expected, strict=True)
    )


def _joined(results: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([result.ravel() for result in results])


@pytest.mark.parametrize(
    ("backbone", "share"),
    [
        ("efficientnet-lite0", 0.3),
        ("MobileNetV3Small", 0.2),
        ("EfficientNetB0", 0.1),
        ("ResNet50V2", 0.1),
        # Nested models.
        ("ConvNeXtTiny", 0.1),
    ],
)
def test_outputs_and_gradients_are_those_of_the_model(backbone: str, share: float) -> None:
    keras.utils.set_random_seed(0)
    upper = split_at_top(with_disturbed_norms(build_backbone(backbone, 64, "none")), share)[1]
    model = assemble(upper, build_head(upper.output_shape[-1], 2, TrainOptions()))
    exact, rough = training_copy(model, "float32"), training_copy(model, "mixed_bfloat16")
    expected = _outputs_and_gradients(model)
    results = _outputs_and_gradients(exact)
    assert _far(results[:1], expected[:1]) < 1e-5 and _far([_joined(results)], [_joined(expected)]) < 1e-4
    assert _far([_joined(_outputs_and_gradients(rough))], [_joined(expected)]) < 0.05
    assert {weight.dtype for weight in rough.get_weights()} == {np.dtype(np.float32)}
    assert exact.output.dtype == rough.output.dtype == "float32"


@pytest.mark.parametrize(("taps", "stride", "padding", "side"), DEPTHWISE)
def test_a_depthwise_convolution_has_its_gradients(taps: int, stride: int, padding: str, side: int) -> None:
    keras.utils.set_random_seed(0)
    values = keras.Input((side, side, 8))
    # The one before shows the gradient of the inputs, which must not be a square's: 3 rows less.
    cropped = layers.Cropping2D(((0, 3), (0, 0)))(layers.Conv2D(8, 1)(values))
    model = keras.Model(values, layers.DepthwiseConv2D(taps, stride, padding, activation="sigmoid")(cropped))
    assert _far(_outputs_and_gradients(training_copy(model, "float32")), _outputs_and_gradients(model)) < 1e-5


def _shared_depthwise(x: keras.KerasTensor) -> keras.KerasTensor:
    shared = layers.DepthwiseConv2D(3, padding="same")
    return layers.Add()([layers.UpSampling2D()(shared(layers.AveragePooling2D(2)(x))), shared(x)])


def _shared_pointwise(x: keras.KerasTensor) -> keras.KerasTensor:
    shared = layers.Conv2D(4, 1)
    return shared(layers.ReLU()(shared(x)))


def _nested(x: keras.KerasTensor) -> keras.KerasTensor:
    inner = keras.Input((6, 6, 4))
    nested = keras.Model(inner, layers.DepthwiseConv2D(3)(layers.Conv2D(4, 1)(inner)))
    return keras.Sequential([layers.Conv2D(4, 1), layers.DepthwiseConv2D(3)])(nested(x))


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(lambda x: layers.Conv2D(8, 1, use_bias=False, activation="relu")(x), id="pointwise"),
        pytest.param(lambda x: layers.Conv2D(8, 1, activation=tf.nn.relu6)(x), id="a function as activation"),
        pytest.param(lambda x: layers.Conv2D(8, 1, strides=2)(x), id="pointwise with strides"),
        pytest.param(lambda x: layers.Conv2D(8, 1, groups=2)(x), id="pointwise in groups"),
        pytest.param(lambda x: layers.Conv2D(8, 3, groups=2, activation="relu")(x), id="in groups"),
        pytest.param(lambda x: layers.DepthwiseConv2D(3, use_bias=False)(x), id="depthwise"),
        pytest.param(lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2)(x), id="depth multiplier"),
        pytest.param(lambda x: layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")(x), id="dilated"),
        pytest.param(lambda x: layers.SeparableConv2D(8, 3)(x), id="separable"),
        pytest.param(lambda x: layers.Conv2D(4, 1)(x) * 2 + x, id="operations"),
        pytest.param(_shared_depthwise, id="shared depthwise"),
        pytest.param(_shared_pointwise, id="shared pointwise"),
        pytest.param(_nested, id="nested models"),
    ],
)
def test_layers_of_any_kind_keep_outputs_and_gradients(
    graph: Callable[[keras.KerasTensor], keras.KerasTensor],
) -> None:
    keras.utils.set_random_seed(0)
    values = keras.Input((6, 6, 4))
    model = keras.Model(values, graph(layers.Conv2D(4, 1, bias_initializer="normal")(values)))
    copy, expected = training_copy(model, "float32"), _outputs_and_gradients(model)
    assert _far(_outputs_and_gradients(copy), expected) < 1e-5
    rough = training_copy(model, "mixed_bfloat16")
    assert _far([_joined(_outputs_and_gradients(rough))], [_joined(expected)]) < 0.03
    assert not {id(variable) for variable in copy.variables} & {id(variable) for variable in model.variables}


def test_weights_come_there_and_back_unchanged() -> None:
    keras.utils.set_random_seed(0)
    values = keras.Input((5, 5, 4))
    x = layers.DepthwiseConv2D(3, bias_initializer="normal")(layers.Conv2D(4, 1, bias_initializer="normal")(values))
    model = with_disturbed_norms(keras.Model(values, layers.BatchNormalization()(layers.ReLU()(x))))
    before = model.get_weights()
    copy = training_copy(model, "mixed_bfloat16")
    for variable in copy.weights:
        variable.assign(variable + 1)
    for weight, original in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, original)
    copy_weights(copy, model)
    for weight, original in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, original + np.float32(1))
    copy_weights(model, copy)
    assert _far(model.get_weights(), copy.get_weights()) == 0


def test_the_weights_of_another_model_are_refused() -> None:
    one, other = (keras.Sequential([keras.Input((4,)), *map(layers.Dense, sizes)]) for sizes in ([2], [2, 2]))
    with pytest.raises(ValueError, match="longer"):
        copy_weights(one, other)


def test_what_is_frozen_stays_frozen() -> None:
    values = keras.Input((5, 5, 4))
    x = layers.DepthwiseConv2D(3, name="small")(layers.Conv2D(4, 1, name="pointwise")(values))
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 2, name="conv")(layers.ReLU()(x)))
    model = keras.Model(values, x)
    for frozen in (("pointwise",), ("small",), ("conv",)):
        for layer in model.layers:
            layer.trainable = layer.name not in frozen
        copy = training_copy(model, "float32")
        assert {layer.name: layer.trainable for layer in copy.layers if layer.weights} == {
            name: name not in (*frozen, "norm") for name in ("pointwise", "small", "conv", "norm")
        }
    # Every norm is frozen, and keeps its statistics in training.
    copy = training_copy(model, "float32")
    before = copy.get_layer("norm").get_weights()
    copy(np.random.default_rng(0).normal(0, 9, (4, 5, 5, 4)).astype(np.float32), training=True)
    for weight, same in zip(copy.get_layer("norm").get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)


def test_dropout_draws_what_it_draws_in_the_model() -> None:
    def dropped(copied: bool) -> list[np.ndarray]:
        keras.utils.set_random_seed(0)
        values = keras.Input((8,))
        x = layers.Dropout(0.5, seed=3)(layers.Dense(64)(values))
        model = keras.Model(values, x)
        return _outputs_and_gradients(training_copy(model, "float32") if copied else model, training=True)

    assert _far(dropped(True), dropped(False)) < 1e-5
    assert (dropped(True)[0] == 0).any()


def test_a_copy_is_made_for_the_strategy_in_scope() -> None:
    values = keras.Input((4, 4, 8))
    model = keras.Model(values, layers.DepthwiseConv2D(3)(layers.Conv2D(8, 1)(values)))
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        copy = training_copy(model, "float32")
    assert all(isinstance(variable.value, tf.distribute.DistributedValues) for variable in copy.weights)
    images = np.random.default_rng(0).normal(size=(2, 4, 4, 8)).astype(np.float32)
    np.testing.assert_allclose(copy(images), model(images), rtol=1e-5, atol=1e-6)
    for variable in copy.weights:
        variable.assign(variable * 2)
    copy_weights(copy, model)
    np.testing.assert_allclose(copy(images), model(images), rtol=1e-5, atol=1e-6)


def test_the_top_of_a_cut_network_has_the_faster_gradients() -> None:
    _, upper = split_at_top(build_backbone("efficientnet-lite0", 64, "none"), 0.3)
    copy = training_copy(assemble(upper, build_head(1280, 2, TrainOptions())), "float32")
    depthwise = [layer for layer in copy._flatten_layers() if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert depthwise and all(type(layer) is not keras.layers.DepthwiseConv2D for layer in depthwise)


def test_batchnorm_in_a_layer_of_ones_own_stays_frozen() -> None:
    @keras.saving.register_keras_serializable("test_training_copy")
    class Composite(keras.layers.Layer):
        def __init__(self, **kwargs: object):
            super().__init__(**kwargs)
            self.norm = keras.layers.BatchNormalization()

        def call(self, values: keras.KerasTensor) -> keras.KerasTensor:
            return self.norm(values)

    values = keras.Input((4, 4, 8))
    model = keras.Model(values, Composite()(keras.layers.Conv2D(8, 1)(values)))
    copy = training_copy(fold_batch_norm(model), "float32")
    before = copy.get_weights()
    copy(np.random.default_rng(0).normal(5, 3, (4, 4, 4, 8)).astype(np.float32), training=True)
    for old, new in zip(before, copy.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
