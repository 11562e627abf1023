"""Layers that change images at random: what they share, and their random numbers."""

import math

import keras
import tensorflow as tf


class RandomLayer(keras.layers.Layer):
    """Changes every image in its own way: float32 images (batch, size, size, 3) in 0 to 255 in, the same out.

    Without `training`, nothing happens. Subclasses say in `change` what does.
    """

    def __init__(self, seed: int):
        """Takes the seed of all draws."""
        super().__init__(dtype="float32")
        self._seeds = keras.random.SeedGenerator(seed)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the images, changed if this is training."""
        return self.change(images, Draws(self._seeds, tf.shape(images)[0])) if training else images

    def change(self, images: tf.Tensor, draws: "Draws") -> tf.Tensor:
        """Returns the changed images."""
        raise NotImplementedError


class Draws:
    """Draws for a batch of `count` images; each result has shape (count, 1, 1, 1) unless said otherwise."""

    def __init__(self, seeds: keras.random.SeedGenerator, count: tf.Tensor):
        """Takes the layer's seeds, which move on with every draw."""
        self._seeds, self._count = seeds, count

    def uniform(self, low: float, high: float) -> tf.Tensor:
        """Evenly between `low` and `high`."""
        return keras.random.uniform((self._count, 1, 1, 1), low, high, seed=self._seeds)

    def log_uniform(self, low: float, high: float) -> tf.Tensor:
        """Evenly on the scale of factors: as often below as above the geometric mean."""
        return tf.exp(self.uniform(math.log(low), math.log(high)))

    def chance(self, probability: float) -> tf.Tensor:
        """1.0 with that probability, else 0.0."""
        return tf.cast(self.uniform(0, 1) < probability, tf.float32)

    def normal(self, *shape: int | tf.Tensor) -> tf.Tensor:
        """Standard normal numbers (count, *shape)."""
        return keras.random.normal((self._count, *shape), seed=self._seeds)

    def field(self, side: int | tf.Tensor, cells: int, channels: int = 1) -> tf.Tensor:
        """Smooth noise (count, side, side, channels) that varies over about 1 / cells of the side."""
        return tf.image.resize(self.normal(cells, cells, channels), tf.stack([side, side]))

    def across(self, side: int | tf.Tensor) -> tf.Tensor:
        """Distance (count, side, side, 1) from a line through the middle in a random direction; 1 is half the side."""
        angle = self.uniform(-math.pi, math.pi)
        y, x = axes(side)
        return tf.cos(angle) * y + tf.sin(angle) * x


def axes(side: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Places down (1, side, 1, 1) and across (1, 1, side, 1), from -1 to 1."""
    ticks = tf.linspace(-1.0, 1.0, side)
    return ticks[None, :, None, None], ticks[None, None, :, None]
