"""Random flips, turns and zooms in one resampling: each by itself would resample, and cost, once more."""

import math

import tensorflow as tf

from trainer.draws import Draws, RandomLayer


class RandomGeometry(RandomLayer):
    """Turns every image by any angle, mirrors half of them, and zooms by up to `zoom_in` or `zoom_out`.

    What comes into view from outside is the image mirrored at its border.
    """

    def __init__(self, zoom_in: float, zoom_out: float, seed: int):
        """Takes the largest zooms, as shares of the side, and the seed: 0.2 in shows 0.8 of it, 0.1 out 1.1."""
        super().__init__(seed)
        self._zoom_in, self._zoom_out = zoom_in, zoom_out

    def change(self, images: tf.Tensor, draws: Draws) -> tf.Tensor:
        """Returns the images, resampled bilinearly."""

        def draw(low: float, high: float) -> tf.Tensor:
            return tf.reshape(draws.uniform(low, high), [-1])

        angle = draw(-math.pi, math.pi)
        scale = draw(1 - self._zoom_in, 1 + self._zoom_out)
        mirror = tf.where(draw(-1, 1) < 0, -1.0, 1.0)
        cosine, sine = scale * tf.cos(angle), scale * tf.sin(angle)
        # From the place in the result to the place in the image, both seen from the middle, then from the corner.
        a, b, c, d = cosine * mirror, -sine, sine * mirror, cosine
        middle = tf.cast(tf.shape(images)[1] - 1, tf.float32) / 2
        zero = tf.zeros_like(a)
        transforms = tf.stack([a, b, middle * (1 - a - b), c, d, middle * (1 - c - d), zero, zero], axis=1)
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=transforms,
            output_shape=tf.shape(images)[1:3],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="REFLECT",
        )
