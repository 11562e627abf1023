"""The outline of a picture: the strongest, lowest frequencies of a small thumbnail, by which copies are looked up.

Tone, a gradient of light, blur and heavy compression hardly change it. A common border or caption dominates it.
"""

import numpy as np
from numpy.typing import NDArray

from crackgate.images.copies.frequencies import Floats, Frequencies, OrientedHash, dct_matrix

SIDE = 32
# Finer detail of the thumbnail does not survive a JPEG of quality 50.
_FREQUENCIES = Frequencies(SIDE, 0, 24)
# The size of an outline.
BYTES = len(_FREQUENCIES)
# The hashes leave out the higher frequencies, which copies keep less exactly.
_HASHED = Frequencies(SIDE, 0, 12)
_HASH = OrientedHash(_HASHED, np.rint(1000 / _HASHED.lengths))
_DCT = dct_matrix(SIDE)


def without_light(thumbnails: Floats) -> Floats:
    """Subtracts the best quadratic surface from each of float32 (images, 32, 32): tone, a gradient, and vignetting."""
    # Vectors of their own: a product of all images would round by their number.
    flat = thumbnails.reshape(len(thumbnails), -1, 1)
    light: Floats = flat - _LIGHT @ (_LIGHT.T @ flat)
    return light.reshape(thumbnails.shape)


def outline(textures: Floats) -> NDArray[np.int8]:
    """Coefficients (images, 472) of thumbnails without their light, float32 (images, 32, 32), lowest first."""
    spectra = _DCT @ textures @ _DCT.T
    # All walls are alike in the lowest, strongest frequencies: weighing by frequency evens this out.
    coefficients = spectra[:, _FREQUENCIES.rows, _FREQUENCIES.columns] * _FREQUENCIES.lengths
    return np.rint(coefficients * (127 / np.abs(coefficients).max(axis=1, keepdims=True))).astype(np.int8)


def outline_bands(outlines: NDArray[np.int8]) -> NDArray[np.uint32]:
    """Look-up hashes (images, 20) of outlines (images, 472)."""
    return _HASH(outlines[:, : len(_HASHED)].astype(np.float32))


def _light_basis() -> Floats:
    """Orthonormal columns that span all quadratic surfaces over the thumbnail."""
    ticks = np.linspace(-1, 1, SIDE)
    y, x = (plane.ravel() for plane in np.meshgrid(ticks, ticks, indexing="ij"))
    return np.linalg.qr(np.stack([x**0, x, y, x * x, x * y, y * y], axis=1))[0].astype(np.float32)


_LIGHT = _light_basis()
