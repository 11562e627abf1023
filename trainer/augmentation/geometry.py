"""Random flips, turns and zooms in one resampling."""

import math
from typing import Any

import keras
import tensorflow as tf

from trainer.augmentation.random_layer import Draws, RandomLayer, axes


@keras.saving.register_keras_serializable("crackgate")
class RandomGeometry(RandomLayer):
    """Turns images by any angle, mirrors half of them, and zooms; beyond its border an image is mirrored."""

    def __init__(self, zoom_in: float, zoom_out: float, seed: int, **common: Any):
        """Takes the largest zooms as shares of the side: 0.2 in shows 0.8 of it, 0.1 out 1.1."""
        super().__init__(seed, **common)
        self._zoom_in, self._zoom_out = zoom_in, zoom_out

    def get_config(self) -> dict[str, Any]:
        """See `RandomLayer`."""
        return {**super().get_config(), "zoom_in": self._zoom_in, "zoom_out": self._zoom_out}

    def change(self, images: tf.Tensor, draws: Draws) -> tf.Tensor:
        """Returns the images, resampled bilinearly."""

        def draw(low: float, high: float) -> tf.Tensor:
            return draws.uniform(low, high)[..., 0]

        angle = draw(-math.pi, math.pi)
        # Half as large is as frequent as twice as large.
        scale = draws.log_uniform(1 - self._zoom_in, 1 + self._zoom_out)[..., 0]
        mirror = tf.where(draw(-1, 1) < 0, -1.0, 1.0)
        cosine, sine = scale * tf.cos(angle), scale * tf.sin(angle)
        # From coordinates in the result to coordinates in the image, both relative to the middle.
        side = images.shape[1]
        y, x = (axis[..., 0] * (side - 1) / 2 for axis in axes(side))
        across = _mirrored_at_border(cosine * mirror * x - sine * y + (side - 1) / 2, side)
        down = _mirrored_at_border(sine * mirror * x + cosine * y + (side - 1) / 2, side)
        return _read(images, down, across)


def _mirrored_at_border(coordinate: tf.Tensor, side: int) -> tf.Tensor:
    """Mirrors coordinates at the first and the last pixel until they lie between them."""
    return tf.clip_by_value(side - tf.abs(side - (coordinate + 0.5) % (2 * side)) - 0.5, 0, side - 1)


def _read(images: tf.Tensor, down: tf.Tensor, across: tf.Tensor) -> tf.Tensor:
    """Colours at coordinates (batch, side, side) between the pixels, bilinearly."""
    side = images.shape[1]
    pixels = tf.reshape(images, (-1, 3))
    image_start = (tf.range(tf.shape(images)[0]) * side * side)[:, None, None]
    top, left = tf.floor(down), tf.floor(across)
    to_bottom, to_right = (down - top)[..., None], (across - left)[..., None]
    rows, columns = (
        [tf.cast(first, tf.int32), tf.cast(tf.minimum(first + 1, side - 1), tf.int32)] for first in (top, left)
    )
    upper, lower = (
        tf.gather(pixels, image_start + row * side + columns[0]) * (1 - to_right)
        + tf.gather(pixels, image_start + row * side + columns[1]) * to_right
        for row in rows
    )
    return upper * (1 - to_bottom) + lower * to_bottom
