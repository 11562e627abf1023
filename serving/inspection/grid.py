"""The grid of a photograph's tiles: squares of one side. Pure geometry.

A photograph is scaled so that a tile has the network's size. Along each axis, every tile owns a cell: the pixels nearer
to its centre than to any other's. Cells do not overlap and fill the photograph.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Axis:
    """The tiles along the width or the height.

    Attributes:
        length: Length of the photograph, in its pixels.
        padded: The same, or the tile's side where that is longer: the photograph is mirrored at its end then.
        scaled: Length of the scaled photograph, in pixels of the network.
        starts: int64 (tiles,), first pixel of each tile in the scaled photograph, ascending from 0.
        boxes: int64 (tiles, 2), where each tile begins and ends in the photograph, the end not included.
        edges: int64 (tiles + 1,), where the cells begin and end in the photograph: from 0 to `length`.
    """

    length: int
    padded: int
    scaled: int
    starts: np.ndarray
    boxes: np.ndarray
    edges: np.ndarray


def lay_axis(length: int, tile: int, image_size: int, overlap: float) -> Axis:
    """Spreads as few tiles as give the overlap evenly over a length; lengths are pixels of the photograph.

    `overlap` is the share of a tile that its neighbour covers at least, 0 to below 1, up to a pixel.
    """
    padded = max(length, tile)
    scaled = round(padded * image_size / tile)
    step = max(1, int(image_size * (1 - overlap)))
    count = -(-(scaled - image_size) // step) + 1
    starts = np.linspace(0, scaled - image_size, count).round().astype(np.int64)
    zoom = padded / scaled
    boxes = np.stack([starts, starts + image_size], axis=1) * zoom
    middles = boxes.mean(axis=1)
    edges = np.concatenate([[0], (middles[:-1] + middles[1:]) / 2, [length]])
    return Axis(
        length,
        padded,
        scaled,
        starts,
        boxes.round().astype(np.int64).clip(0, length),
        edges.round().astype(np.int64).clip(0, length),
    )


@dataclass(frozen=True)
class Grid:
    """All tiles of one photograph, rows from the top, columns from the left."""

    rows: Axis
    columns: Axis

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return len(self.rows.starts), len(self.columns.starts)


def lay_grid(width: int, height: int, tile: int, image_size: int, overlap: float) -> Grid:
    """Covers a photograph with tiles; see `lay_axis`."""
    return Grid(lay_axis(height, tile, image_size, overlap), lay_axis(width, tile, image_size, overlap))
