"""From encoded bytes to the network's input, in training and in the served signatures."""

import tensorflow as tf

from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.scale import TrainedScale
from crackgate.model.row_errors import map_rows

# With the beginning of its first chunk, which holds the size.
_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_BMP_START = b"BM"
# Offset of a PNG file's width and height: two big-endian numbers of four bytes.
_PNG_SIZE_AT = 16
# The same of a BMP file: two little-endian numbers of four bytes; a negative height means rows from the top.
_BMP_SIZE_AT = 18

EMPTY = "empty: there are no bytes"
UNKNOWN_FORMAT = "not a JPEG, PNG or BMP image"
DAMAGED = "damaged: the image cannot be decoded"


def decode_image(encoded: tf.Tensor, image_size: int) -> tf.Tensor:
    """Decodes a JPEG, PNG or BMP image (scalar string) and scales it to a square of `image_size` pixels a side.

    Returns:
        float32 (image_size, image_size, 3), RGB, 0 to 255. The backbone does the normalisation.
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


def input_in_words(image_size: int) -> str:
    """How `decode_image` makes the network's input of an image."""
    return (
        f"RGB, 0 to 255 (grey: three equal channels), scaled to {image_size}x{image_size} pixels whatever its shape, "
        "bilinear with antialiasing"
    )


def decode_images(
    encoded: tf.Tensor, image_size: int, max_pixels: int = ImageLimits.max_pixels, scale: TrainedScale | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes a batch of bytes from anywhere, string (N,), in a graph; each failure stays in its own row.

    The largest width times height, `max_pixels`, and the `scale` are checked before anything is decoded.

    Returns:
        float32 (N, image_size, image_size, 3), zeros where there is an error, and the errors: string (N,), "" for none.
    """
    blank = tf.zeros((image_size, image_size, 3))

    def decode(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        error = _refuse(row, max_pixels, scale)
        return tf.cond(error == "", lambda: decode_image(row, image_size), lambda: blank), error

    return map_rows(decode, encoded, (blank, tf.constant(DAMAGED)))


def header_size(encoded: tf.Tensor) -> tf.Tensor:
    """Width and height of a JPEG, PNG or BMP image as its header says, int64 (2,), in pixels; 0 and 0 of all others.

    Raises InvalidArgumentError where the header is cut off.
    """

    def jpeg_size() -> tf.Tensor:
        return tf.io.extract_jpeg_shape(encoded, tf.int64)[1::-1]

    def png_size() -> tf.Tensor:
        width_and_height = tf.io.decode_raw(tf.strings.substr(encoded, _PNG_SIZE_AT, 8), tf.uint8)
        weights = tf.constant([1 << 24, 1 << 16, 1 << 8, 1], tf.int64)
        return tf.reduce_sum(tf.reshape(tf.cast(width_and_height, tf.int64), (2, 4)) * weights, axis=1)

    def bmp_size() -> tf.Tensor:
        return tf.abs(tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, _BMP_SIZE_AT, 8), tf.int32), tf.int64))

    size = tf.case(
        [
            (tf.io.is_jpeg(encoded), jpeg_size),
            (_starts_with(encoded, _PNG_START), png_size),
            (_starts_with(encoded, _BMP_START), bmp_size),
        ],
        default=lambda: tf.zeros(2, tf.int64),
    )
    return tf.ensure_shape(size, (2,))


def _refuse(encoded: tf.Tensor, max_pixels: int, scale: TrainedScale | None) -> tf.Tensor:
    """Why a file is not to be decoded, from its beginning; "" when it may be. Raises where a header is cut off."""
    size = header_size(encoded)
    known = tf.io.is_jpeg(encoded) | _starts_with(encoded, _PNG_START) | _starts_with(encoded, _BMP_START)
    too_large = tf.strings.format(f"too large: {{}} pixels, allowed are {max_pixels}", tf.reduce_prod(size))
    reasons = [
        (tf.strings.length(encoded) == 0, lambda: tf.constant(EMPTY)),
        (~known, lambda: tf.constant(UNKNOWN_FORMAT)),
        (tf.reduce_prod(size) > max_pixels, lambda: too_large),
    ]
    if scale is not None:
        out_of_scale = tf.strings.format(scale.refusal, (size[0], size[1]))
        reasons.append((~_takes(scale, size), lambda: out_of_scale))
    return tf.case(reasons, default=lambda: tf.constant(""))


def _takes(scale: TrainedScale, size: tf.Tensor) -> tf.Tensor:
    """`scale.takes` in a graph, for an int64 size (2,)."""
    shorter, longer = tf.reduce_min(size), tf.reduce_max(size)
    (low, high), (squarest, longest) = scale.allowed_sides, scale.allowed_elongations
    one, other = tf.cast(shorter, tf.float64), tf.cast(longer, tf.float64)
    fits = (low <= shorter) & (longer <= high)
    return fits & (squarest * one <= other) & (other <= longest * one)


def _starts_with(encoded: tf.Tensor, start: bytes) -> tf.Tensor:
    return tf.strings.substr(encoded, 0, len(start)) == start
