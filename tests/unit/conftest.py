"""Fixtures of several unit tests. Keras is imported where it is used, so that tests without it start at once."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageFile, TiffImagePlugin, WebPImagePlugin

if TYPE_CHECKING:
    import keras


@pytest.fixture(scope="session")
def new_toy_backbone() -> Callable[[], "keras.Model"]:
    """Makes always the same small backbone for images of 32 pixels, untrained, with everything that a real one has:
    normalisation inside, BatchNorm with statistics of its own, a residual, feature maps of 6 channels."""
    import keras

    def batch_norm(x: "keras.KerasTensor", rng: np.random.Generator, name: str) -> "keras.KerasTensor":
        layer = keras.layers.BatchNormalization(name=name)
        normalised = layer(x)
        layer.moving_mean.assign(rng.normal(0, 0.2, layer.moving_mean.shape))
        layer.moving_variance.assign(rng.uniform(0.2, 0.5, layer.moving_variance.shape))
        return normalised

    def make() -> "keras.Model":
        rng = np.random.default_rng(0)

        def conv(filters: int, strides: int, name: str) -> keras.layers.Conv2D:
            initializer = keras.initializers.GlorotUniform(seed=int(rng.integers(1000)))
            return keras.layers.Conv2D(
                filters, 3, strides, padding="same", kernel_initializer=initializer, use_bias=False, name=name
            )

        images = keras.Input((32, 32, 3))
        x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="normalise")(images)
        x = keras.layers.ReLU(name="stem_relu")(batch_norm(conv(4, 2, "stem_conv")(x), rng, "stem_bn"))
        branch = keras.layers.ReLU(name="relu")(batch_norm(conv(4, 1, "conv")(x), rng, "bn"))
        x = keras.layers.Add(name="add")([x, branch])
        x = keras.layers.ReLU(name="top_relu")(batch_norm(conv(6, 2, "top_conv")(x), rng, "top_bn"))
        return keras.Model(images, x, name="toy")

    return make


@pytest.fixture(scope="session")
def lined_images() -> Callable[[int, int], tuple[np.ndarray, np.ndarray]]:
    """Draws `count` grey images of 32 pixels from a seed, and their labels: every other one has a dark line across."""

    def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        labels = np.arange(count) % 2
        images = rng.uniform(150, 170, (count, 1, 1, 1)) + rng.normal(0, 10, (count, 32, 32, 3))
        for number in np.flatnonzero(labels):
            images[number, rng.integers(2, 26) :][:4] = 20
        return np.clip(images, 0, 255).astype(np.float32), labels.astype(np.int64)

    return draw


@pytest.fixture
def pillow_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes an attempt of Pillow at pixels a failure."""

    def decode(image: Image.Image) -> None:
        raise AssertionError(f"Pillow was to decode {image.format}")

    for plugin in (ImageFile.ImageFile, TiffImagePlugin.TiffImageFile, WebPImagePlugin.WebPImageFile):
        monkeypatch.setattr(plugin, "load", decode)
