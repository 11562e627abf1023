"""Which images may be decoded at all: their headers tell, before any pixel takes memory."""

import io
import warnings

from PIL import Image

# What the SavedModel decodes, and what Pillow calls the JPEG files of many phones.
_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP")


def find_fault(image: bytes, most_pixels: int) -> str:
    """Why an image must not be decoded, in a few words; "" when it may.

    Args:
        image: A file's content.
        most_pixels: Width times height at most.
    """
    with warnings.catch_warnings():
        # Pillow warns about bombs; the limit here decides.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(image), formats=_FORMATS) as opened:
                width, height = opened.size
        except Image.DecompressionBombError as error:
            return f"too large: {error}"
        # Of many types: a header may be broken in any way.
        except Exception:
            return f"no JPEG, PNG, GIF or BMP image: {len(image)} bytes that start with {image[:8]!r}"
    if width * height > most_pixels:
        return f"too large: {width} x {height} pixels, at most {most_pixels} are allowed"
    return ""
