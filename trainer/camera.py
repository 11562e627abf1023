"""Other cameras: focus, sharpening, colours, tone curve, noise of the sensor, compression."""

import tensorflow as tf

from trainer.draws import Draws, RandomLayer


class RandomCamera(RandomLayer):
    """Takes every image with another camera."""

    def change(self, images: tf.Tensor, draws: Draws) -> tf.Tensor:
        """Returns the images as other cameras would have stored them."""
        side = tf.shape(images)[1]
        taken = _colours(_focus(images / 255, draws), draws)
        taken += draws.uniform(0, 0.06) * draws.chance(0.5) * draws.normal(side, side, 1)
        return _compress(tf.clip_by_value(taken, 0, 1), draws) * 255


def _focus(images: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Blurs half of the images by up to 1.4 pixels, and sharpens a third of those, some beyond what they were."""
    count, side = tf.shape(images)[0], tf.shape(images)[1]
    sigma = 0.05 + draws.uniform(0.3, 1.4) * draws.chance(0.5)
    place = tf.cast(tf.range(side), tf.float32)
    kernel = tf.exp(-(((place[:, None] - place) / sigma[..., 0]) ** 2) / 2)
    kernel /= tf.reduce_sum(kernel, axis=-1, keepdims=True)
    blurred = images
    # A Gaussian of each image's own width, as a product of matrices: first down, then across.
    for _ in range(2):
        blurred = tf.reshape(kernel @ tf.reshape(blurred, (count, side, side * 3)), (count, side, side, 3))
        blurred = tf.transpose(blurred, (0, 2, 1, 3))
    return blurred + draws.uniform(0, 2.5) * draws.chance(0.3) * (images - blurred)


def _colours(images: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Saturation from none to double, a cast, contrast from a third to 1.6 times, brightness, and a tone curve."""
    grey = tf.reduce_mean(images, axis=-1, keepdims=True)
    images = grey + (images - grey) * draws.uniform(0, 2)
    images *= tf.exp(0.15 * draws.normal(1, 1, 3))
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    images = (images - mean) * draws.log_uniform(0.35, 1.6) + 0.4 * mean + 0.6 * draws.uniform(0.2, 0.8)
    images = tf.clip_by_value(images, 0, 1)
    # At mid-grey a gamma of 0.6 to 1.5; it rises everywhere, and a power of every pixel would cost as much as all this.
    return images + draws.uniform(-0.6, 0.6) * images * (1 - images)


def _compress(images: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Stores four in ten of the images as JPEG of quality 20 to 95."""
    shape = images.shape[1:]

    def stored(drawn: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, quality, chosen = drawn
        return tf.cond(
            chosen, lambda: tf.ensure_shape(tf.image.adjust_jpeg_quality(image, quality), shape), lambda: image
        )

    quality = tf.cast(tf.reshape(draws.uniform(20, 96), [-1]), tf.int32)
    chosen = tf.reshape(draws.chance(0.4), [-1]) > 0
    return tf.map_fn(stored, (images, quality, chosen), fn_output_signature=tf.float32)
