"""Frequencies (DCT-II) of square thumbnails, and hashes of them that no mirroring or turning changes."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BANDS = 20
_BITS = 32


def dct_matrix(side: int) -> Floats:
    """The orthonormal DCT-II of one axis, float32 (frequencies, places)."""
    places = np.arange(side)
    waves = np.cos(np.pi * (places + 0.5) * places[:, None] / side) * np.sqrt(2 / side)
    waves[0] /= np.sqrt(2)
    return waves.astype(np.float32)


class Frequencies:
    """Those above `lowest` and up to `highest`, of a thumbnail of `side` x `side` cells; the lowest are first.

    Attributes:
        rows: Row of each frequency, as are its `columns`.
        lengths: Distance of each from (0, 0).
    """

    def __init__(self, side: int, lowest: float, highest: float):
        rows, columns = np.indices((side, side)).reshape(2, -1)
        squares = rows**2 + columns**2
        order = np.argsort(squares, kind="stable")
        kept = order[(squares[order] > lowest**2) & (squares[order] <= highest**2)]
        self.rows, self.columns = rows[kept], columns[kept]
        self.lengths: Floats = np.hypot(self.rows, self.columns).astype(np.float32)

    def __len__(self) -> int:
        return len(self.rows)


class OrientedHash:
    """Locality-sensitive hashes of coefficients: signs of random projections, smallest over the eight orientations.

    Args:
        frequencies: The hashed frequencies.
        weights: Whole-number weights (frequencies,) that even out their strengths.
    """

    def __init__(self, frequencies: Frequencies, weights: Floats):
        signs = np.random.default_rng(0).choice((-1, 1), (len(frequencies), BANDS * _BITS))
        projections: Floats = (signs * weights[:, None]).astype(np.float32)
        rows, columns = frequencies.rows, frequencies.columns
        # The index of each frequency with swapped axes.
        self._transposed = np.lexsort((rows, columns))[np.argsort(np.lexsort((columns, rows)))]
        # By the parities of row and column: mirroring negates the odd ones.
        parities = [
            np.flatnonzero((rows % 2 == down) & (columns % 2 == across)) for down in (0, 1) for across in (0, 1)
        ]
        self._parities = [(places, projections[places]) for places in parities]

    def __call__(self, images: Floats) -> NDArray[np.uint32]:
        """Hashes (images, 20) of whole-number coefficients (images, frequencies).

        Sums of whole numbers below 2^24 are exact in float32, in any order.
        """
        smallest = None
        for turned in (images, images[:, self._transposed]):
            # Coefficients that mirroring treats alike are summed up once for all four mirrorings.
            even, down, across, both = (turned[:, places] @ projection for places, projection in self._parities)
            rising, falling = across + both, across - both
            # Comparisons save half of the sums.
            for signs in (
                even + down > -rising,
                even + down > rising,
                even - down > -falling,
                even - down > falling,
            ):
                bits = np.packbits(signs.reshape(len(images), BANDS, _BITS), axis=-1)
                hashes = bits.view(">u4")[..., 0].astype(np.uint32)
                smallest = hashes if smallest is None else np.minimum(smallest, hashes)
        assert smallest is not None
        return smallest
