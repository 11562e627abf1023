"""Reading one image file: accept it in a canonical form, or refuse it with a reason.

RGB and grayscale JPEG and PNG files that TensorFlow decodes to the same pixels as Pillow keep their bytes; everything
else that Pillow can read (CMYK, palettes, alpha, 16 bits, BMP, EXIF-turned, slightly damaged) is written once as
lossless RGB PNG, so that training and serving see the pixels that a viewer shows.
"""

import functools
import hashlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps, ImageStat, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "BMP")
# A JPEG with a second picture (a depth map, a preview) behind the first, as many phones write it.
_JPEG_FORMATS = ("JPEG", "MPO")
# TensorFlow's libpng reads no longer rows.
_LONGEST_SIDE = 1_000_000


@dataclass(frozen=True)
class ImageLimits:
    """Bounds that keep one file from harming the run.

    Attributes:
        min_side: Smallest accepted width and height, in pixels.
        max_pixels: Largest accepted width times height, checked before anything is decoded.
        max_bytes: Largest accepted file.
    """

    min_side: int = 32
    max_pixels: int = 50_000_000
    max_bytes: int = 50_000_000


@dataclass(frozen=True)
class CanonicalImage:
    """An accepted image.

    Attributes:
        encoded: JPEG or PNG bytes that decode to 8-bit RGB or grayscale.
        format: "jpeg" or "png".
        height: Pixels, after the EXIF orientation was applied.
        width: Pixels, likewise.
        brightness: Mean grey level (ITU-R 601 luma), 0 to 255.
        contrast: Standard deviation of the grey levels, 0 to 127.5.
        pixels_sha256: Hex digest of the RGB pixels and their shape: equal for identical pictures in any format.
    """

    encoded: bytes
    format: str
    height: int
    width: int
    brightness: float
    contrast: float
    pixels_sha256: str


class RejectedImageError(Exception):
    """A file that cannot be used.

    Attributes:
        reason: One of a few fixed words, fit for counting.
        detail: What exactly was found.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def canonical_image(data: bytes, limits: ImageLimits) -> CanonicalImage:
    """Checks and decodes the bytes of one image file.

    Args:
        data: The file's content.
        limits: Bounds on its size.

    Raises:
        RejectedImageError: The file is empty, not an image, of another format, truncated, or outside the limits.
    """
    if not data:
        raise RejectedImageError("empty file", "0 bytes")
    if len(data) > limits.max_bytes:
        raise RejectedImageError("too large", f"{len(data)} bytes, allowed are {limits.max_bytes}")
    with warnings.catch_warnings():
        # Pillow warns about bombs and odd metadata; the limits here decide, and no file may flood the log.
        warnings.simplefilter("ignore")
        image = _open(data)
        _check_size(image, limits)
        rgb = _decode_rgb(image)
    kept_as_is = _is_canonical(image) and _tensorflow_sees(rgb, data)
    grey_levels = ImageStat.Stat(rgb.convert("L"))
    return CanonicalImage(
        encoded=data if kept_as_is else _encode_png(rgb),
        format="jpeg" if kept_as_is and image.format in _JPEG_FORMATS else "png",
        height=rgb.height,
        width=rgb.width,
        brightness=grey_levels.mean[0],
        contrast=grey_levels.stddev[0],
        pixels_sha256=hashlib.sha256(b"%dx%d:" % rgb.size + rgb.tobytes()).hexdigest(),
    )


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise RejectedImageError("not an image", f"starts with {data[:12]!r}") from None
    except Image.DecompressionBombError as error:
        raise RejectedImageError("too large", str(error)) from None
    except Exception as error:
        raise RejectedImageError("unreadable", f"{type(error).__name__}: {error}") from None


def _check_size(image: Image.Image, limits: ImageLimits) -> None:
    if image.format not in (*FORMATS, *_JPEG_FORMATS):
        raise RejectedImageError("format not supported", f"{image.format}, allowed are {', '.join(FORMATS)}")
    size = f"{image.width}x{image.height} pixels"
    if min(image.size) < limits.min_side:
        raise RejectedImageError("too small", f"{size}, each side needs {limits.min_side}")
    if image.width * image.height > limits.max_pixels or max(image.size) > _LONGEST_SIDE:
        raise RejectedImageError(
            "too large", f"{size}, allowed are {limits.max_pixels} in all and {_LONGEST_SIDE} on a side"
        )


def _is_canonical(image: Image.Image) -> bool:
    return image.format in (*_JPEG_FORMATS, "PNG") and image.mode in ("RGB", "L") and "transparency" not in image.info


def _tensorflow_sees(rgb: Image.Image, data: bytes) -> bool:
    """Whether TensorFlow reads `data` as these pixels: not if EXIF turns them, nor in files that only Pillow mends."""
    try:
        return np.array_equal(_tensorflow_decoder()(data), np.asarray(rgb))
    except tf.errors.InvalidArgumentError:
        return False


@functools.cache
def _tensorflow_decoder() -> Callable[[bytes], np.ndarray]:
    # A session of its own that knows of no GPU: eager TensorFlow would take all of its memory in every Beam worker.
    with tf.Graph().as_default() as graph:
        encoded = tf.compat.v1.placeholder(tf.string, [])
        # Reads PNG as well, and with this method the very pixels of Pillow; the default one is off by a grey level.
        pixels = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    session = tf.compat.v1.Session(graph=graph, config=tf.compat.v1.ConfigProto(device_count={"GPU": 0}))
    decode: Callable[[bytes], np.ndarray] = session.make_callable(pixels, [encoded])
    return decode


def _decode_rgb(image: Image.Image) -> Image.Image:
    try:
        image.load()
        turned = ImageOps.exif_transpose(image)
        # Pillow would carry a transparent colour over to the PNG, and fails where it does not fit there.
        turned.info.clear()
        return _eight_bits(turned).convert("RGB")
    except OSError as error:
        raise RejectedImageError("truncated", str(error)) from None
    except Exception as error:
        raise RejectedImageError("unreadable", f"{type(error).__name__}: {error}") from None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scales 16-bit grayscale down; Pillow's own conversion would clip it to white."""
    if image.mode.startswith("I"):
        return image.point(lambda value: value / 256).convert("L")
    return image


def _encode_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
