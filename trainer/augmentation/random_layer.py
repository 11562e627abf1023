"""The base of layers that change images at random, and their random numbers."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import tensorflow as tf

# Numbers that are drawn together: single ones cost as much.
_AT_ONCE = 16


class RandomLayer(keras.layers.Layer):
    """Changes float32 images (batch, size, size, 3) in 0 to 255, each in its own way, and only with `training`."""

    # Whether all of `change` is one `fused` pass.
    compiled = True

    def __init__(self, seed: int, **common: Any):
        """Takes the seed of all draws, and what every Keras layer takes."""
        super().__init__(**{"dtype": "float32", **common})
        self.seed, self.seeds = seed, keras.random.SeedGenerator(seed)

    def get_config(self) -> dict[str, Any]:
        """See Keras: a layer made of it draws the same again."""
        return {**super().get_config(), "seed": self.seed}

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the images, changed if this is training."""
        if not training:
            return images
        draws = Draws(self.seeds, tf.shape(images)[0])
        if not self.compiled:
            return self.change(images, draws)
        return fused(lambda pixels: self.change(pixels, draws), images)

    def change(self, images: tf.Tensor, draws: "Draws") -> tf.Tensor:
        """Returns the changed images."""
        raise NotImplementedError


def fused(change: Callable[..., Any], *tensors: tf.Tensor) -> Any:
    """Returns `change(*tensors)`; in a graph, XLA compiles it to one pass over the pixels.

    Within a pass, XLA computes a value again for every use. A result of a pass is computed once.
    """
    if tf.executing_eagerly():
        return change(*tensors)
    return tf.function(change, jit_compile=True, autograph=False)(*tensors)


class Draws:
    """Draws for `count` images, in the graph where this is made: shape (count, 1, 1, 1) unless said otherwise."""

    def __init__(self, seeds: keras.random.SeedGenerator, count: tf.Tensor):
        """Takes the layer's seeds, which advance with each draw."""
        self._seeds, self._count = seeds, count
        self._graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        self._ready: list[tf.Tensor] = []

    def uniform(self, low: float, high: float) -> tf.Tensor:
        """Evenly between `low` and `high`."""
        if not self._ready:
            with self._here():
                self._ready = tf.split(self._evenly(1, 1, _AT_ONCE), _AT_ONCE, axis=-1)
        return low + (high - low) * self._ready.pop()

    def log_uniform(self, low: float, high: float) -> tf.Tensor:
        """Evenly on the scale of factors: as often below as above the geometric mean."""
        return tf.exp(self.uniform(math.log(low), math.log(high)))

    def chance(self, probability: float) -> tf.Tensor:
        """1.0 with that probability, else 0.0."""
        return tf.cast(self.uniform(0, 1) < probability, tf.float32)

    def normal(self, *shape: int) -> tf.Tensor:
        """Random numbers (count, *shape) of mean 0 and deviation 1, normal but for the tails: none is beyond 3.5."""
        with self._here():
            evenly = self._evenly(*shape)
        # The sum of four numbers of 5 bits each.
        bits = tf.cast(evenly * 2**20, tf.int32)
        total = sum(tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 5 * part), 31) for part in range(4))
        return (tf.cast(total, tf.float32) - 4 * 31 / 2) / math.sqrt(4 * (32**2 - 1) / 12)

    def field(self, side: int, cells: int, channels: int = 1) -> tf.Tensor:
        """Smooth noise (count, side, side, channels) that varies over about 1 / cells of the side."""
        with self._here():
            return tf.image.resize(self.normal(cells, cells, channels), (side, side))

    def across(self, side: int) -> tf.Tensor:
        """Distance (count, side, side, 1) from a line through the middle in a random direction; 1 is half the side."""
        angle = self.uniform(-math.pi, math.pi)
        y, x = axes(side)
        return tf.cos(angle) * y + tf.sin(angle) * x

    def _evenly(self, *shape: int) -> tf.Tensor:
        return keras.random.uniform((self._count, *shape), seed=self._seeds)

    def _here(self) -> AbstractContextManager:
        return self._graph.as_default() if self._graph else nullcontext()


def axes(side: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Coordinates down (1, side, 1, 1) and across (1, 1, side, 1), from -1 to 1."""
    ticks = tf.linspace(-1.0, 1.0, side)
    return ticks[None, :, None, None], ticks[None, None, :, None]
