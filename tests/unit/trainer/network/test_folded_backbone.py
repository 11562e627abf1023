"""A folded backbone gives the same outputs without the BatchNorm of its convolutions, whatever graph surrounds them."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.helpers.disturbed_norms import with_disturbed_norms
from trainer.network.efficientnet_lite import efficientnet_lite
from trainer.network.folded_backbone import fold_batch_norm

layers = keras.layers
Graph = Callable[[keras.KerasTensor], keras.KerasTensor | list[keras.KerasTensor]]


def _norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)]


def _assert_same_outputs(model: keras.Model, other: keras.Model, values: np.ndarray) -> None:
    outputs, expected = (
        [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(network(values, training=False))]
        for network in (model, other)
    )
    for output, wanted in zip(outputs, expected, strict=True):
        assert np.linalg.norm(output - wanted) < 1e-5 * np.linalg.norm(wanted)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("efficientnet-lite0", 0),
        ("MobileNetV2", 0),
        ("MobileNetV3Small", 0),
        ("EfficientNetB0", 0),
        # Pre-activation: many of its BatchNorms follow a sum.
        ("ResNet50V2", 17),
    ],
)
def test_a_network_of_each_family_keeps_its_outputs(name: str, left: int) -> None:
    keras.utils.set_random_seed(0)
    if name == "efficientnet-lite0":
        model = efficientnet_lite(name, 64, None)
    else:
        model = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(64, 64, 3))
    with_disturbed_norms(model)
    before = model.get_weights()
    folded = fold_batch_norm(model)
    _assert_same_outputs(folded, model, np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32))
    assert len(_norms(folded)) == left
    assert len(folded.layers) == len(model.layers) - len(_norms(model)) + left
    # The model itself stays what it was.
    for weight, original in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, original)


def _norm() -> keras.layers.BatchNormalization:
    return layers.BatchNormalization()


def _conv(**arguments: object) -> keras.layers.Conv2D:
    return layers.Conv2D(8, 3, padding="same", bias_initializer="normal", **arguments)


def _also_added(x: keras.KerasTensor) -> keras.KerasTensor:
    twice = _conv()(x)
    return layers.Add()([_norm()(twice), twice])


def _also_in_an_operation(x: keras.KerasTensor) -> keras.KerasTensor:
    twice = _conv()(x)
    return _norm()(twice) + 2 * twice


def _also_in_a_shared_layer(x: keras.KerasTensor) -> keras.KerasTensor:
    twice, shared = _conv()(x), layers.ReLU()
    return layers.Add()([_norm()(twice), shared(twice), shared(layers.Conv2D(8, 1)(x))])


def _also_in_a_nested_model(x: keras.KerasTensor) -> keras.KerasTensor:
    twice, inner = _conv()(x), keras.Input((None, None, 8))
    return layers.Add()([_norm()(twice), keras.Model(inner, layers.ReLU()(inner))(twice)])


def _also_an_output(x: keras.KerasTensor) -> list[keras.KerasTensor]:
    twice = _conv()(x)
    return [_norm()(twice), twice]


def _two_norms(x: keras.KerasTensor) -> keras.KerasTensor:
    twice = _conv()(x)
    return layers.Add()([_norm()(twice), _norm()(twice)])


def _shared_convolution(x: keras.KerasTensor) -> keras.KerasTensor:
    shared = _conv()
    return layers.Add()([_norm()(shared(x)), shared(layers.ReLU()(x))])


def _shared_norm(x: keras.KerasTensor) -> keras.KerasTensor:
    shared = _norm()
    return layers.Add()([shared(_conv()(x)), shared(_conv()(x))])


def _in_a_nested_model(x: keras.KerasTensor) -> keras.KerasTensor:
    inner = keras.Input((None, None, 3))
    return layers.ReLU()(keras.Model(inner, _norm()(_conv()(inner)))(x))


@pytest.mark.parametrize(
    ("graph", "left"),
    [
        pytest.param(lambda x: _norm()(_conv()(x)), 0, id="bias, and the norm is the output"),
        pytest.param(lambda x: [_norm()(_conv(use_bias=False)(x)), x], 0, id="several outputs"),
        pytest.param(lambda x: layers.ReLU()(layers.BatchNormalization(scale=False)(_conv()(x))), 0, id="no scale"),
        pytest.param(lambda x: layers.BatchNormalization(center=False, epsilon=0.1)(_conv()(x)), 0, id="no offset"),
        pytest.param(lambda x: _norm()(_conv(dilation_rate=2)(x)), 0, id="dilated"),
        pytest.param(lambda x: _norm()(layers.Conv2D(9, 3, strides=2, groups=3)(x)), 0, id="in groups"),
        pytest.param(lambda x: _norm()(layers.DepthwiseConv2D(3, 2, use_bias=False)(x)), 0, id="depthwise"),
        pytest.param(lambda x: _norm()(layers.DepthwiseConv2D(3, depth_multiplier=2)(x)), 0, id="depth multiplier"),
        pytest.param(lambda x: _norm()(_norm()(_conv()(x))), 1, id="a norm of a norm"),
        pytest.param(lambda x: _norm()(_conv(activation="relu")(x)), 1, id="an activation between"),
        pytest.param(lambda x: _norm()(layers.ReLU()(_conv()(x))), 1, id="a layer between"),
        pytest.param(lambda x: layers.BatchNormalization(axis=1)(_conv()(x)), 1, id="along another axis"),
        pytest.param(lambda x: _norm()(layers.SeparableConv2D(8, 3)(x)), 1, id="two convolutions in one"),
        pytest.param(lambda x: _norm()(layers.Conv2DTranspose(8, 3)(x)), 1, id="transposed"),
        pytest.param(_also_added, 1, id="also added"),
        pytest.param(_also_in_an_operation, 1, id="also in an operation"),
        pytest.param(_also_in_a_shared_layer, 1, id="also in a shared layer"),
        pytest.param(_also_in_a_nested_model, 1, id="also in a nested model"),
        pytest.param(_also_an_output, 1, id="also an output"),
        pytest.param(_two_norms, 2, id="two norms"),
        pytest.param(_shared_convolution, 1, id="a shared convolution"),
        pytest.param(_shared_norm, 1, id="a shared norm"),
        pytest.param(_in_a_nested_model, 1, id="in a nested model"),
    ],
)
def test_only_a_norm_that_belongs_to_one_convolution_is_folded(graph: Graph, left: int) -> None:
    keras.utils.set_random_seed(0)
    image = keras.Input((11, 11, 3))
    model = with_disturbed_norms(keras.Model(image, graph(image)))
    folded = fold_batch_norm(model)
    values = np.random.default_rng(0).normal(0, 1, (2, 11, 11, 3)).astype(np.float32)
    _assert_same_outputs(folded, model, values)
    assert len(_norms(folded)) == left
    # Training with few images would move its statistics.
    assert not any(norm.trainable for norm in _norms(folded))
    assert all(layer.trainable for layer in folded.layers if not isinstance(layer, layers.BatchNormalization))


def test_learnt_statistics_of_the_input_come_along(tmp_path: Path) -> None:
    image = keras.Input((8, 8, 3))
    normalisation = layers.Normalization()
    model = keras.Model(image, _norm()(_conv()(normalisation(image))))
    values = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype(np.float32) * [0.2, 0.5, 1.0]
    normalisation.adapt(values)
    folded = fold_batch_norm(model)
    _assert_same_outputs(folded, model, values)
    # In a file too.
    folded.save(tmp_path / "folded.keras")
    _assert_same_outputs(keras.models.load_model(tmp_path / "folded.keras"), model, values)
