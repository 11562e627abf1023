"""Random surfaces and light, whatever the label: domain randomisation (Tobin et al. 2017, arXiv:1703.06907)."""

import math

import keras
import tensorflow as tf

from trainer.augmentation.random_layer import Draws, RandomLayer, axes

# Deviation of a texture, in logarithms of brightness, from which on it can hide a crack.
_STRONG = 0.3
# The largest share that a bare surface takes of the relief beyond a shallow one, in logarithms of brightness.
_MOST_FADED, _SHALLOW = 0.6, 0.1
# Cells along a side and strongest amplitude, in logarithms of brightness: from stains to grains.
_STAINS_TO_GRAINS = ((6, 0.25), (20, 0.25), (80, 0.25))


@keras.saving.register_keras_serializable("crackgate")
class RandomSurface(RandomLayer):
    """Lays a texture over seven in ten images: stains, grain, and on most of these masonry with its joints.

    On weak textures dark lines fade: cracks of other surfaces are fainter.
    """

    def change(self, images: tf.Tensor, draws: Draws) -> tf.Tensor:
        """Returns the images on other surfaces."""
        side = images.shape[1]
        texture = masonry(draws, side) * draws.chance(0.6)
        for cells, strongest in _STAINS_TO_GRAINS:
            # Squared: mostly weak.
            texture += strongest * draws.uniform(0, 1) ** 2 * draws.field(side, cells)
        texture *= draws.chance(0.7)
        # A crack among joints is one more dark line: the stronger the texture, the darker it stays.
        strength = tf.minimum(tf.math.reduce_std(texture, axis=(1, 2, 3), keepdims=True) / _STRONG, 1)
        relief = _dark_relief(images)
        faded = _MOST_FADED * draws.uniform(0, 1) * (1 - strength) * tf.minimum(relief + _SHALLOW, 0)
        return tf.clip_by_value(images * tf.exp(texture + strength * relief - faded), 0, 255)


def _dark_relief(images: tf.Tensor) -> tf.Tensor:
    """How much darker each pixel is than the 16 x 16 around it, in logarithms: (batch, side, side, 1), 0 or less."""
    grey = tf.reduce_mean(images, axis=-1, keepdims=True) + 8
    around = grey
    for axis in (1, 2):
        around = tf.pad(around, [[8, 7] if dimension == axis else [0, 0] for dimension in range(4)], "SYMMETRIC")
        # Sums of 2, 4, 8 and 16 neighbours.
        for shift in (1, 2, 4, 8):
            first, second = ([0, start, 0, 0] if axis == 1 else [0, 0, start, 0] for start in (0, shift))
            size = [-1, *(length - shift * (axis == at) for at, length in enumerate(around.shape[1:], start=1))]
            around = tf.slice(around, first, size) + tf.slice(around, second, size)
    return tf.minimum(tf.math.log(256 * grey / around), 0)


def masonry(draws: Draws, side: int) -> tf.Tensor:
    """Stones in courses, each of its own tone, with joints: logarithms of brightness (batch, side, side, 1).

    Stones are a thirtieth to half of the side high and up to 3.5 times as long; bonds are running or stack.
    Walls are turned by any angle and a little crooked; joints are dark or light, sharp or washed out.
    """
    height = draws.log_uniform(0.06, 0.9)
    length = height * draws.log_uniform(0.8, 3.5)
    angle = draws.uniform(-math.pi, math.pi)
    y, x = axes(side)
    crooked = draws.field(side, 9, 2) * height * draws.uniform(0, 0.08)
    down = (tf.cos(angle) * y - tf.sin(angle) * x + crooked[..., :1]) / height + draws.uniform(0, 9)
    course = tf.floor(down)
    # In running bond every course starts half a stone further.
    along = (tf.sin(angle) * y + tf.cos(angle) * x + crooked[..., 1:]) / length + draws.uniform(0, 9)
    along += course * 0.5 * draws.chance(0.7)
    stone = tf.floor(along)

    to_edge = tf.minimum((0.5 - tf.abs(down - course - 0.5)) * height, (0.5 - tf.abs(along - stone - 0.5)) * length)
    width = height * draws.uniform(0.02, 0.14) + 0.01
    joint = tf.sigmoid(3 * (width - to_edge) / (0.008 + 0.3 * width))
    # A hash instead of a random number per stone. In integers: XLA rounds sines differently.
    number = tf.cast(course, tf.int32) * 73856093 + tf.cast(stone, tf.int32) * 19349663
    number += tf.cast(draws.uniform(0, 2**24), tf.int32)
    number = tf.bitwise.bitwise_xor(number, tf.bitwise.right_shift(number, 15)) * 668265261
    tone = tf.cast(tf.bitwise.bitwise_and(tf.bitwise.right_shift(number, 8), 2**16 - 1), tf.float32) / 2**16 - 0.5
    return draws.uniform(0, 0.7) ** 2 * tone * (1 - joint) + draws.uniform(-1, 0.7) * joint


@keras.saving.register_keras_serializable("crackgate")
class RandomLight(RandomLayer):
    """Light that falls off to one side, and a shadow's edge, hard or soft, on three images in ten."""

    def change(self, images: tf.Tensor, draws: Draws) -> tf.Tensor:
        """Returns the images in another light."""
        side = images.shape[1]
        gradient = 1 + draws.uniform(-0.3, 0.3) * draws.across(side)
        edge = (draws.across(side) - draws.uniform(-0.8, 0.8)) / draws.log_uniform(0.005, 0.3)
        shadow = 1 - draws.uniform(0.1, 0.6) * draws.chance(0.3) * tf.sigmoid(edge)
        return tf.clip_by_value(images * gradient * shadow, 0, 255)
