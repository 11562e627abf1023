"""Reading photographs of many megapixels, and scaling them to the network's scale."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import Image

from crackgate.contracts.image_limits import ImageLimits
from crackgate.images import exif
from crackgate.images.geotag import Geotag, UnusableGeotagError, read_geotag
from crackgate.images.image_file import viewer_image
from crackgate.images.image_folder import read_source
from crackgate.storage.location import Location
from serving.inspection.grid import Grid

# The largest sensors of today have 200 megapixels; a decoded pixel takes 3 bytes, and 4 more while it is scaled.
_LIMITS = ImageLimits(min_side=32, max_pixels=250_000_000, max_bytes=500_000_000)


class Photograph(NamedTuple):
    """A photograph as a viewer shows it, and what its EXIF says.

    Attributes:
        pixels: uint8 (height, width, 3).
        taken: ISO 8601 by the camera's clock; None where the file does not say.
        geotag: Where it was taken; None where the file does not say.
        geotag_error: Why its position cannot be used; "" where it can, or there is none.
    """

    pixels: np.ndarray
    taken: str | None
    geotag: Geotag | None
    geotag_error: str


def read_photograph(file: Location, ingest: ImageLimits) -> Photograph:
    """Decodes a photograph as its EXIF orientation says.

    Images that ingest took, with its own limits, are read, too.

    Raises:
        RejectedImageError: It is no image, damaged, or outside the limits.
        OSError: It cannot be read.
    """
    limits = _LIMITS.widened(ingest)
    data = read_source(file, limits.max_bytes)
    with _pillow_allows(limits.max_pixels):
        pixels, image = viewer_image(data, limits)
    try:
        geotag, error = read_geotag(image), ""
    except UnusableGeotagError as unusable:
        geotag, error = None, str(unusable)
    return Photograph(pixels, exif.taken(image), geotag, error)


def scale(pixels: np.ndarray, grid: Grid) -> np.ndarray:
    """Scales pixels, uint8 (height, width, 3), so that each tile has the network's size, antialiased as in training.

    A photograph smaller than a tile is mirrored at its right and lower end.
    """
    missing = grid.rows.padded - grid.rows.length, grid.columns.padded - grid.columns.length
    if any(missing):
        pixels = np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
    size = (grid.columns.scaled, grid.rows.scaled)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


@contextmanager
def _pillow_allows(pixels: int) -> Iterator[None]:
    """Pillow refuses less by itself; the header's size is compared with the limits before anything is decoded."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
