"""The place where a backbone's texture is taken, of whatever family it is."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.network.backbones import build_backbone
from trainer.network.texture import texture_of

SIZE = 96


def _textures(backbone: keras.Model) -> np.ndarray:
    images = np.random.default_rng(0).uniform(0, 255, (3, *backbone.input_shape[1:])).astype(np.float32)
    return keras.Model(backbone.input, texture_of(backbone)).predict_on_batch(images)


def test_it_is_the_means_of_the_last_maps_of_two_scales() -> None:
    backbone = build_backbone("efficientnet-lite0", SIZE, "imagenet")
    images = np.random.default_rng(0).uniform(0, 255, (3, SIZE, SIZE, 3)).astype(np.float32)
    places = [backbone.get_layer(name).output for name in ("block3b_add", "block5c_add")]
    assert [tuple(place.shape[1:3]) for place in places] == [(12, 12), (6, 6)]
    means = [tf.reduce_mean(place, (1, 2)) for place in keras.Model(backbone.input, places)(images)]
    np.testing.assert_allclose(_textures(backbone)[:, 0, 0], tf.concat(means, axis=1), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetB0", "ResNet50", "DenseNet121", "VGG16"])
def test_it_is_of_bounded_size_in_every_family(name: str) -> None:
    backbone = build_backbone(name, SIZE, "none")
    texture = texture_of(backbone)
    assert tuple(texture.shape[1:3]) == (1, 1) and 32 <= texture.shape[-1] <= 256
    # It needs no layer of the last scale.
    needed = {layer.name for layer in keras.Model(backbone.input, texture).layers}
    assert backbone.layers[-1].name not in needed
    assert np.ptp(_textures(backbone), axis=0).max() > 0


def test_a_backbone_of_few_scales_gives_its_last_map(new_toy_backbone: Callable[[], keras.Model]) -> None:
    backbone = new_toy_backbone()
    images = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    expected = backbone.predict_on_batch(images).mean(axis=(1, 2))
    np.testing.assert_allclose(_textures(backbone)[:, 0, 0], expected, rtol=1e-4, atol=1e-5)


def test_a_backbone_without_a_single_passage_gives_its_last_map() -> None:
    images = keras.Input((SIZE, SIZE, 3))
    ways = [keras.layers.Conv2D(4, 3, 16, padding="same")(images) for _ in range(2)]
    backbone = keras.Model(images, keras.layers.Concatenate()(ways))
    assert _textures(backbone).shape == (3, 1, 1, 8)
