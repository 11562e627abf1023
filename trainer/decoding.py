"""From encoded bytes to the network's input: one function, used by training and by the served signatures."""

import tensorflow as tf


def decode_image(encoded: tf.Tensor, image_size: int) -> tf.Tensor:
    """Decodes one image and scales it to the network's size.

    Args:
        encoded: Scalar string, the bytes of a JPEG, PNG or BMP image.
        image_size: Side of the square result, in pixels. The aspect ratio is not kept.

    Returns:
        float32 of shape (image_size, image_size, 3), RGB, 0 to 255. The backbone does the normalisation.
    """
    pixels = tf.cond(
        tf.io.is_jpeg(encoded),
        # Pixel for pixel what Pillow and most viewers show; TensorFlow's default method is off by a grey level.
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    # Without antialiasing a hairline can fall between the samples.
    resized = tf.image.resize(pixels, (image_size, image_size), antialias=True)
    return tf.ensure_shape(resized, (image_size, image_size, 3))
