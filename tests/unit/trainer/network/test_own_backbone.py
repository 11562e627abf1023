"""A backbone of the user's own: what is taken, and what is said of one that cannot be."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

from crackgate.config.train import TrainOptions
from crackgate.own_code import call_own
from tests.helpers.own_models import write_own_models
from trainer.augmentation.model import configured_augmentation
from trainer.network.backbones import as_trunk, build_backbone, split_at_top
from trainer.network.classifier import assemble, build_head
from trainer.network.training_copy import training_copy

PROJECT = Path(__file__).resolve().parents[4]
SIZE = 32


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_own_models(tmp_path, "own_backbones")
    monkeypatch.chdir(tmp_path)


def _build(function: str, weights: str = "imagenet") -> keras.Model:
    return build_backbone(f"own_backbones:{function}", SIZE, weights)


def _images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)


def _run(model: keras.Model) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(_images(), training=False))


@pytest.mark.parametrize("function", ["build", "around_another", "sequential", "with_own_layer"])
def test_takes_every_graph_of_layers_and_cuts_it(function: str) -> None:
    backbone = _build(function)
    assert backbone.input_shape == (None, SIZE, SIZE, 3)
    lower, upper = split_at_top(backbone, 0.3)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(upper(lower(_images()))), _run(backbone), atol=1e-5)


def test_a_model_in_the_model_is_cut_and_frozen_like_any_other() -> None:
    backbone = _build("around_another")
    assert not any(isinstance(layer, keras.Model) for layer in backbone.layers)
    assert len(split_at_top(backbone, 0.3)[1].layers) < len(backbone.layers) / 2
    assemble(backbone, keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)]))
    # Those after a convolution are part of it.
    norms = [layer for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert not any(norm.trainable for norm in norms)


def test_one_for_a_single_size_does_not_take_others() -> None:
    assert as_trunk(_build("of_one_size")) is None


def test_the_example_of_the_docs_works(tmp_path: Path) -> None:
    text = (PROJECT / "docs" / "training.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n# my_models/small\.py\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my_models").mkdir()
    # Without the network.
    offline = example.replace('weights="imagenet"', "weights=None")
    assert offline != example
    (tmp_path / "my_models" / "small.py").write_text(offline, encoding="utf-8")
    backbone = build_backbone("my_models.small:build", 96, "imagenet")
    assert backbone.output_shape == (None, 3, 3, 1280)
    options = TrainOptions(augmentation="my_models.small:flips")
    assert isinstance(configured_augmentation(options, 0).layers[0], keras.layers.RandomFlip)


def test_layers_that_ask_for_float32_keep_it_when_others_train_in_16_bits(tmp_path: Path) -> None:
    before = keras.config.dtype_policy()
    backbone = _build("partly_float32")
    assert keras.config.dtype_policy() is before
    classifier = assemble(backbone, build_head(4, 2, TrainOptions()))
    copy = training_copy(classifier, "mixed_bfloat16").get_layer(backbone.name)
    precision = {layer.name: layer.compute_dtype for layer in copy.layers[1:]}
    rough = dict.fromkeys(["first", "relu", "last"], "bfloat16")
    assert precision == {**rough, "inner": "float32", "norm": "float32"}
    file = tmp_path / "classifier.keras"
    classifier.save(file)
    np.testing.assert_array_equal(_run(keras.models.load_model(file)), _run(classifier))


def test_a_model_without_such_layers_trains_in_16_bits_but_for_its_head() -> None:
    backbone = _build("around_another")
    copy = training_copy(assemble(backbone, build_head(6, 2, TrainOptions())), "mixed_bfloat16")
    assert {layer.compute_dtype for layer in copy.get_layer(backbone.name).layers[1:]} == {"bfloat16"}
    assert copy.get_layer("head").get_layer("logits").compute_dtype == "float32"


@pytest.mark.parametrize("weights", ["imagenet", "none"])
def test_keeps_the_weights_that_the_function_gave_it(weights: str) -> None:
    keras.utils.set_random_seed(1)
    first = _build("build", weights).get_weights()
    keras.utils.set_random_seed(1)
    for weight, again in zip(first, _build("build", weights).get_weights(), strict=True):
        np.testing.assert_array_equal(weight, again)


def test_loads_a_file_of_weights(tmp_path: Path) -> None:
    saved = call_own("train.backbone", "own_backbones:build", image_size=SIZE)
    saved.save_weights(tmp_path / "own.weights.h5")
    np.testing.assert_allclose(_run(_build("build", str(tmp_path / "own.weights.h5"))), _run(saved), atol=1e-5)
    with pytest.raises(ValueError, match=r"train\.weights: '.*own\.weights\.h5' does not fit the model of"):
        _build("with_own_layer", str(tmp_path / "own.weights.h5"))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("nothing", r"returned a NoneType; allowed is a keras\.Model"),
        ("subclass", r"returned a Subclass, a subclass of keras\.Model; allowed is a functional model"),
        ("without_input", r"a keras\.Sequential without an input; allowed is one that begins with keras\.Input"),
        ("two_inputs", "a model with 2 inputs; allowed is one with a single"),
        ("another_size", r"for inputs \(None, 64, 64, 3\); allowed is one for \(None, 32, 32, 3\): train\.image_size"),
        ("of_bytes", "for uint8 inputs; allowed is one for float32, in 0 to 255"),
        ("pooled", r"with outputs \(None, 6\); .*feature map.*: leave out pooling and dense layers"),
        ("without_weights", "a model without weights"),
        ("with_unknown_layer", "cannot be stored and loaded: Could not locate class 'Unknown'.*register_keras"),
        ("with_unconfigured_layer", r"layer 'mine' would lose its name .* a class Unconfigured with get_config"),
        ("broken", "broken\\(image_size=32\\) of 'own_backbones:broken' raised RuntimeError: no such checkpoint"),
        ("without_argument", "raised TypeError: .*unexpected keyword argument 'image_size'"),
        ("VALUE", "is no function but a int"),
        ("bild", r"own_backbones\.py has no 'bild': did you mean 'build'\?"),
    ],
)
def test_says_what_is_wrong(function: str, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^train\.backbone: .*{said}"):
        _build(function)
