"""Other cameras: focus, sharpening, colours, tone curve, noise of the sensor, compression."""

import keras
import tensorflow as tf

from trainer.augmentation.random_layer import Draws, RandomLayer, fused

# Pixels on either side that a blur reaches: three times the widest deviation.
_REACH = 4


@keras.saving.register_keras_serializable("crackgate")
class RandomCamera(RandomLayer):
    """Takes every image with another camera."""

    compiled = False

    def change(self, images: tf.Tensor, draws: Draws) -> tf.Tensor:
        """Returns the images as other cameras would have seen them."""
        side = images.shape[1]
        focused = _focus(images, draws)
        strength = draws.uniform(0, 0.06) * draws.chance(0.5)
        taken = fused(lambda focused: focused / 255 + strength * draws.normal(side, side, 1), focused)
        # After the sensor, whose noise has the picture's contrast.
        return _colours(taken, draws)


def _focus(images: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Blurs half of the images by up to 1.4 pixels, and sharpens three in ten of those, some too much."""
    sigma = 0.05 + draws.uniform(0.3, 1.4) * draws.chance(0.5)
    kernel = tf.exp(-((tf.range(-_REACH, _REACH + 1, dtype=tf.float32) / sigma[..., 0]) ** 2) / 2)
    kernel /= tf.reduce_sum(kernel, axis=-1, keepdims=True)
    excess = draws.uniform(0, 2.5) * draws.chance(0.3)

    def blur(padded: tf.Tensor, axis: int) -> tf.Tensor:
        size = [-1, *(length - 2 * _REACH * (at == axis) for at, length in enumerate(padded.shape[1:], start=1))]
        starts = ([0, shift, 0, 0] if axis == 1 else [0, 0, shift, 0] for shift in range(2 * _REACH + 1))
        return sum(tf.slice(padded, start, size) * kernel[..., shift, None, None] for shift, start in enumerate(starts))

    def sharpen(images: tf.Tensor, down: tf.Tensor) -> tf.Tensor:
        blurred = blur(down, axis=2)
        return blurred + excess * (images - blurred)

    # A Gaussian of each image's own width: first down, then across.
    border = [[0, 0], [_REACH, _REACH], [_REACH, _REACH], [0, 0]]
    padded = fused(lambda images: tf.pad(images, border, "SYMMETRIC"), images)
    return fused(sharpen, images, fused(lambda padded: blur(padded, axis=1), padded))


def _colours(images: tf.Tensor, draws: Draws) -> tf.Tensor:
    """Saturation from none to double, a cast, contrast from half to 1.6 times, brightness, and a tone curve.

    From float32 of about 0 to 1 to 0 to 255.
    """
    saturation, cast = draws.uniform(0, 2), tf.exp(0.15 * draws.normal(1, 1, 3))
    contrast, brightness = draws.log_uniform(0.5, 1.6), 0.6 * draws.uniform(0.2, 0.8)
    # At mid-grey a gamma of 0.6 to 1.5; it rises everywhere. A power of every pixel would double the time of this.
    curve = draws.uniform(-0.6, 0.6)

    def tint(images: tf.Tensor, grey: tf.Tensor) -> tf.Tensor:
        return (grey + (images - grey) * saturation) * cast

    def develop(images: tf.Tensor, grey: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        images = (tint(images, grey) - mean) * contrast + 0.4 * mean + brightness
        images = tf.clip_by_value(images, 0, 1)
        return tf.clip_by_value(images + curve * images * (1 - images), 0, 1) * 255

    # As a sum of three: XLA's mean over so few takes four times as long.
    grey = fused(lambda images: sum(images[..., at : at + 1] for at in range(3)) / 3, images)
    colours = fused(lambda images: tf.reduce_mean(images, axis=(1, 2), keepdims=True), images)
    mean = tf.reduce_mean(tint(colours, tf.reduce_mean(colours, axis=-1, keepdims=True)), axis=-1, keepdims=True)
    return fused(develop, images, grey, mean)


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
