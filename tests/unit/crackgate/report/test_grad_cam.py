"""Grad-CAM against what it must equal, and against edges, mirrors and other weights, which it must not show."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    import keras


def _classifier(backbone: "keras.Model") -> "keras.Model":
    import keras

    from crackgate.config.train import TrainOptions
    from trainer.network.classifier import assemble, build_head

    keras.utils.set_random_seed(1)
    return assemble(backbone, build_head(backbone.output_shape[-1], 3, TrainOptions()))


def _heat_map(classifier: "keras.Model", encoded: bytes, label: int) -> np.ndarray:
    from crackgate.report.grad_cam import GradCam

    grad_cam = GradCam(classifier)
    return grad_cam.heat_maps([grad_cam.decode(encoded)], [label])[0]


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def encoded(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _pointwise() -> "keras.Model":
    """A backbone whose places see their own pixel alone: no edge and no neighbour has a say."""
    import keras

    keras.utils.set_random_seed(2)
    pixels = keras.Input((32, 32, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    return keras.Model(pixels, keras.layers.Conv2D(6, 1, activation="relu")(scaled))


def test_it_is_the_class_activation_map_where_features_are_averaged(image: np.ndarray) -> None:
    from crackgate.report.grad_cam import GradCam

    backbone = _pointwise()
    classifier = _classifier(backbone)
    kernel = classifier.get_layer("head").get_layer("logits").get_weights()[0]
    pixels = image.astype(np.float32)
    for label, heat in enumerate(GradCam(classifier).heat_maps([pixels] * 3, [0, 1, 2])):
        # Zhou et al. 2016: the feature maps, weighted as the dense layer weights their averages.
        expected = np.maximum(backbone(pixels[None]).numpy()[0] @ kernel[:, label], 0)
        assert expected.max() > 0
        np.testing.assert_allclose(heat, expected / expected.max(), atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1], ids=["upside down", "left to right"])
@pytest.mark.parametrize("any_size", [True, False], ids=["any size", "one size"])
def test_the_map_of_a_mirrored_picture_is_the_mirrored_map(
    any_size: bool, axis: int, new_toy_backbone: Callable[[], "keras.Model"], image: np.ndarray
) -> None:
    import keras

    from crackgate.report.grad_cam import GradCam

    backbone = new_toy_backbone()
    if not any_size:
        backbone = keras.Model(backbone.input, keras.layers.Reshape((8, 8, 6))(backbone.output))
    plain, turned = (backbone(x[None].astype(np.float32)).numpy()[0].sum(-1) for x in (image, np.flip(image, axis)))
    assert np.corrcoef(plain.ravel(), np.flip(turned, axis).ravel())[0, 1] < 0.9, "strides sample it elsewhere"
    grad_cam = GradCam(_classifier(backbone))
    heat, mirrored = grad_cam.heat_maps([x.astype(np.float32) for x in (image, np.flip(image, axis))], [1, 1])
    assert heat.std() > 0.1
    np.testing.assert_allclose(mirrored, np.flip(heat, axis), atol=1e-5)


def test_an_even_picture_has_no_bright_edge() -> None:
    import keras

    from crackgate.report.grad_cam import GradCam

    keras.utils.set_random_seed(2)
    pixels = keras.Input((32, 32, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    convolved = keras.layers.Conv2D(6, 3, padding="same", activation="relu")(scaled)
    backbone = keras.Model(pixels, keras.layers.Conv2D(6, 3, 4, padding="same", activation="relu")(convolved))
    even = np.broadcast_to(np.array([0, 255, 255], np.float32), (32, 32, 3))
    places = backbone(even[None]).numpy()[0]
    assert np.abs(places - places[4, 4]).max() > 0.1, "zeros that pad the picture show at its edge"
    maps = GradCam(_classifier(backbone)).heat_maps([even] * 3, [0, 1, 2])
    assert maps.any()
    for heat in maps:
        np.testing.assert_allclose(heat, np.full((8, 8), heat[4, 4]), atol=1e-4)


def test_the_map_is_that_of_the_weights(new_toy_backbone: Callable[[], "keras.Model"]) -> None:
    from crackgate.report.grad_cam import GradCam

    images = list(np.random.default_rng(3).uniform(0, 255, (12, 32, 32, 3)).astype(np.float32))
    classifier = _classifier(new_toy_backbone())
    maps = GradCam(classifier).heat_maps(images, [1] * 12)
    rng = np.random.default_rng(4)
    # Adebayo et al. 2018: a map that does not change with the weights shows the picture's edges, and not the model.
    classifier.set_weights([rng.permutation(w.ravel()).reshape(w.shape) for w in classifier.get_weights()])
    others = GradCam(classifier).heat_maps(images, [1] * 12)
    alike = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(maps, others, strict=True)]
    assert abs(np.mean(alike)) < 0.3


def test_a_saved_classifier_gives_the_same_map(
    new_toy_backbone: Callable[[], "keras.Model"], encoded: bytes, tmp_path: Path
) -> None:
    import keras

    classifier = _classifier(new_toy_backbone())
    classifier.save(tmp_path / "classifier.keras")
    loaded = keras.models.load_model(tmp_path / "classifier.keras", compile=False)
    np.testing.assert_allclose(_heat_map(loaded, encoded, 1), _heat_map(classifier, encoded, 1), atol=1e-5)


def test_each_of_many_pictures_has_its_own_map(new_toy_backbone: Callable[[], "keras.Model"]) -> None:
    from crackgate.report import grad_cam

    looking = grad_cam.GradCam(_classifier(new_toy_backbone()))
    count = 2 * grad_cam._AT_ONCE + 1
    images = list(np.random.default_rng(0).uniform(0, 255, (count, 32, 32, 3)).astype(np.float32))
    labels = [number % 3 for number in range(count)]
    alone = [looking.heat_maps([image], [label])[0] for image, label in zip(images, labels, strict=True)]
    np.testing.assert_allclose(looking.heat_maps(images, labels), alone, atol=1e-5)


def test_another_pooling_changes_nothing_about_where_the_map_is_taken(
    new_toy_backbone: Callable[[], "keras.Model"], encoded: bytes
) -> None:
    import keras

    images = keras.Input((32, 32, 3))
    feature_map = new_toy_backbone()(images)
    pools = keras.layers.GlobalAveragePooling2D()(feature_map), keras.layers.GlobalMaxPooling2D()(feature_map)
    logits = keras.layers.Dense(2)(keras.layers.Concatenate()(pools))
    heat = _heat_map(keras.Model(images, logits), encoded, 0)
    assert heat.shape == (8, 8) and heat.min() >= 0 and heat.max() in (0, 1)


def test_a_classifier_in_half_precision_has_a_map_in_single_precision(encoded: bytes) -> None:
    import keras

    pixels = keras.Input((32, 32, 3))
    backbone = keras.Model(pixels, keras.layers.Conv2D(4, 3, activation="relu", dtype="mixed_bfloat16")(pixels))
    images = keras.Input((32, 32, 3))
    pooled = keras.layers.GlobalAveragePooling2D(dtype="mixed_bfloat16")(backbone(images))
    heat = _heat_map(keras.Model(images, keras.layers.Dense(2)(pooled)), encoded, 0)
    assert heat.dtype == np.float32 and heat.shape == (30, 30)


def test_a_class_that_nothing_speaks_for_has_an_empty_map(
    new_toy_backbone: Callable[[], "keras.Model"], encoded: bytes
) -> None:
    classifier = _classifier(new_toy_backbone())
    dense = classifier.get_layer("head").get_layer("logits")
    kernel, bias = dense.get_weights()
    # The toy's features are never negative.
    dense.set_weights([-np.abs(kernel), bias])
    assert not _heat_map(classifier, encoded, 0).any()


def test_a_model_without_a_backbone_is_refused_by_name() -> None:
    import keras

    from crackgate.report.grad_cam import GradCam

    images = keras.Input((8, 8, 3))
    plain = keras.Model(images, keras.layers.Dense(2)(keras.layers.Flatten()(images)), name="plain")
    with pytest.raises(ValueError, match="'plain' has no inner model with a feature map"):
        GradCam(plain)
