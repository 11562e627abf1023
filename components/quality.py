"""What can be measured of a picture without a reference: how bright, contrasted, sharp and varied it is."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

_LEVELS = np.arange(256)


@dataclass(frozen=True)
class Quality:
    """Measures of the luma of one picture.

    Attributes:
        brightness: Mean, in grey levels, 0 to 255.
        contrast: Standard deviation, in grey levels, 0 to 127.5.
        sharpness: Variance of the Laplacian, in grey levels squared, 0 to 1,040,400 (Pech-Pacheco et al. 2000, "Diatom
            autofocusing in brightfield microscopy"). The kernel is [0 1 0; 1 -4 1; 0 1 0], applied where it fits
            entirely; a picture in which it fits nowhere has 0. Blur lowers it, noise raises it.
        entropy: Shannon entropy of the 256-bin histogram, in bits, 0 (one level) to 8 (all levels equally often).
    """

    brightness: float
    contrast: float
    sharpness: float
    entropy: float


def measure(luma: np.ndarray) -> Quality:
    """Measures one picture.

    Args:
        luma: uint8 of shape (height, width), at least one pixel.
    """
    shares = np.array(Image.fromarray(luma).histogram()) / luma.size
    brightness = float(shares @ _LEVELS)
    occurring = shares[shares > 0]
    return Quality(
        brightness=brightness,
        contrast=float(np.sqrt(shares @ (_LEVELS - brightness) ** 2)),
        sharpness=_laplacian_variance(luma),
        entropy=float(occurring @ np.log2(1 / occurring)),
    )


def _laplacian_variance(luma: np.ndarray) -> float:
    levels = luma.astype(np.int16)
    laplacian = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:] - 4 * levels[1:-1, 1:-1]
    if laplacian.size == 0:
        return 0.0
    # In integers: exact at any size, and without the float64 copies of `np.var`.
    squares = np.square(laplacian, dtype=np.int32).sum(dtype=np.int64)
    return float(squares / laplacian.size - laplacian.mean(dtype=np.float64) ** 2)
