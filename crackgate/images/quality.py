"""Quality measures of a picture without a reference: brightness, contrast, sharpness and entropy."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

_LEVELS = np.arange(256)
_PIXELS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Quality:
    """Measures of the luma of one picture.

    Attributes:
        brightness: Mean, in grey levels, 0 to 255.
        contrast: Standard deviation, in grey levels, 0 to 127.5.
        sharpness: Variance of the Laplacian [0 1 0; 1 -4 1; 0 1 0], in grey levels squared, 0 to 1,040,400; 0 if a side
            is under 3 pixels. Source: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy".
        entropy: Shannon entropy of the 256-bin histogram, in bits, 0 (one level) to 8 (all levels equally often).
    """

    brightness: float
    contrast: float
    sharpness: float
    entropy: float


def measure(luma: np.ndarray) -> Quality:
    """Measures one picture by its luma, uint8 (height, width), with at least one pixel."""
    counts = np.array(Image.fromarray(luma).histogram())
    # Python's whole numbers have no bound: the variance is exact, and never below 0.
    total, squares = int(counts @ _LEVELS), int(counts @ _LEVELS**2)
    shares = counts[counts > 0] / luma.size
    return Quality(
        brightness=total / luma.size,
        contrast=math.sqrt(squares * luma.size - total * total) / luma.size,
        sharpness=_laplacian_variance(luma),
        entropy=float(shares @ np.log2(1 / shares)),
    )


def _laplacian_variance(luma: np.ndarray) -> float:
    height, width = luma.shape
    if min(height, width) < 3:
        return 0.0
    # Float64 holds these whole numbers exactly, at any size.
    squares = total = 0.0
    # Strips save memory: a whole picture as float64 takes eight times its own.
    rows = max(1, _PIXELS_AT_ONCE // width)
    for top in range(0, height - 2, rows):
        # On flat rows NumPy is twice as fast. The edges get wrong neighbours there, and are zeroed at the end.
        levels = luma[top : top + rows + 2].astype(np.int16).reshape(-1)
        inner = levels[width:-width]
        laplacian = inner * np.int16(-4)
        laplacian += levels[: -2 * width]
        laplacian += levels[2 * width :]
        laplacian[1:] += inner[:-1]
        laplacian[:-1] += inner[1:]
        laplacian.reshape(-1, width)[:, [0, -1]] = 0
        responses = laplacian.astype(np.float64)
        squares += float(responses @ responses)
        total += float(responses.sum())
    fitting = (height - 2) * (width - 2)
    return float(squares / fitting - (total / fitting) ** 2)
