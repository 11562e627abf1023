"""Other cameras: focus, sharpening, colours, tone curve, noise of the sensor, compression."""

import keras
import tensorflow as tf

from trainer.augmentation.random_layer import Draws, RandomLayer

# Pixels on either side that a blur reaches: three times the widest deviation.
_REACH = 4


@keras.saving.register_keras_serializable("crackgate")
class RandomCamera(RandomLayer):
    """Takes every image with another camera."""

    def change(self, images: tf.Tensor, draws: Draws) -> tf.Tensor:
        """Returns the images as other cameras would have seen them."""
        side = images.shape[1]
        taken = _focus(images / 255, draws)
        taken += draws.uniform(0, 0.06) * draws.chance(0.5) * draws.normal(side, side, 1)
        # After the sensor, whose noise has the picture's contrast.
        return tf.clip_by_value(_colours(taken, draws), 0, 1) * 255


def _focus(images: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Blurs half of the images by up to 1.4 pixels, and sharpens three in ten of those, some too much."""
    sigma = 0.05 + draws.uniform(0.3, 1.4) * draws.chance(0.5)
    kernel = tf.exp(-((tf.range(-_REACH, _REACH + 1, dtype=tf.float32) / sigma[..., 0]) ** 2) / 2)
    kernel /= tf.reduce_sum(kernel, axis=-1, keepdims=True)
    blurred = images
    # A Gaussian of each image's own width: first down, then across.
    for axis in (1, 2):
        padding = [[_REACH, _REACH] if dimension == axis else [0, 0] for dimension in range(4)]
        padded = tf.pad(blurred, padding, "SYMMETRIC")
        starts = ([0, shift, 0, 0] if axis == 1 else [0, 0, shift, 0] for shift in range(2 * _REACH + 1))
        blurred = sum(
            tf.slice(padded, start, [-1, *images.shape[1:]]) * kernel[..., shift, None, None]
            for shift, start in enumerate(starts)
        )
    return blurred + draws.uniform(0, 2.5) * draws.chance(0.3) * (images - blurred)


def _colours(images: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Saturation from none to double, a cast, contrast from half to 1.6 times, brightness, and a tone curve."""
    grey = tf.reduce_mean(images, axis=-1, keepdims=True)
    images = grey + (images - grey) * draws.uniform(0, 2)
    images *= tf.exp(0.15 * draws.normal(1, 1, 3))
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    images = (images - mean) * draws.log_uniform(0.5, 1.6) + 0.4 * mean + 0.6 * draws.uniform(0.2, 0.8)
    images = tf.clip_by_value(images, 0, 1)
    # At mid-grey a gamma of 0.6 to 1.5; it rises everywhere. A power of every pixel would double the time of this.
    return images + draws.uniform(-0.6, 0.6) * images * (1 - images)


@keras.saving.register_keras_serializable("crackgate")
class RandomCompression(RandomLayer):
    """Stores four in ten of the images as JPEG of quality 20 to 95."""

    compiled = False

    def change(self, images: tf.Tensor, draws: Draws) -> tf.Tensor:
        """Returns the images after storing and reading."""
        shape = images.shape[1:]

        def stored(drawn: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
            image, quality, chosen = drawn
            return tf.cond(
                chosen,
                lambda: tf.ensure_shape(tf.image.adjust_jpeg_quality(image / 255, quality), shape) * 255,
                lambda: image,
            )

        quality = tf.cast(tf.reshape(draws.uniform(20, 96), [-1]), tf.int32)
        chosen = tf.reshape(draws.chance(0.4), [-1]) > 0
        return tf.map_fn(stored, (images, quality, chosen), fn_output_signature=tf.float32)
