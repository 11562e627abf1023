"""Stored images, made small enough to be part of a page."""

import base64
import io
import warnings

from PIL import Image

SIDE = 160
# Beside a line of a table.
ICON_SIDE = 64


def make_thumbnail(encoded: bytes, side: int = SIDE) -> str:
    """A data URI of a JPEG of at most `side` x `side` pixels; "" for bytes that Pillow does not decode."""
    small = shrink(encoded, side)
    return "" if small is None else to_data_uri(small)


def shrink(encoded: bytes, side: int) -> Image.Image | None:
    """Returns an image in RGB, of at most `side` x `side` pixels; None when Pillow does not decode the bytes."""
    with warnings.catch_warnings():
        # The ingest has decided what is too large.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(encoded)) as image:
                # A JPEG is decoded at a fraction of its size, no smaller than asked for here.
                image.draft("RGB", (2 * side, 2 * side))
                small = image.convert("RGB")
        except Exception:  # of any kind: TensorFlow read it, and no picture is worth the page
            return None
    small.thumbnail((side, side))
    return small


def to_data_uri(image: Image.Image) -> str:
    """Returns the image as a data URI of a JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def make_icon(uri: str) -> str:
    """A thumbnail's data URI, made smaller for a line of a table."""
    return make_thumbnail(base64.b64decode(uri.partition(",")[2]), ICON_SIDE)
