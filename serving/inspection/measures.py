"""Measures of a photograph from the scores of its tiles."""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from serving.inspection.grid import Grid

# Cells that touch at a side or at a corner belong together.
_NEIGHBOURS = np.ones((3, 3), int)


class TileScores(NamedTuple):
    """The positive score of each tile, float32 (rows, columns), 0 to 1: its scores of the positive classes together.

    `unfamiliarity`, of the same shape, is above 1 where a tile is unlike the training images; None where it is unknown.
    """

    scores: np.ndarray
    unfamiliarity: np.ndarray | None


@dataclass(frozen=True)
class Measures:
    """Measures of one photograph; a tile is positive when its score reaches the threshold.

    Attributes:
        is_positive: Whether any tile is.
        cracked_share: Share of the photograph's area that lies in cells of positive tiles, 0 to 1.
        regions: Number of regions: sets of positive tiles whose cells touch at a side or at a corner.
        longest_run_px: Length of the longest run of any region, in pixels of the photograph; 0 without a region. A run
            is the longest of the shortest ways between two tiles of a region. It leads through the centres of
            neighbouring cells, and half a cell beyond each end. Exact in regions without loops, else a lower bound.
        longest_run_tiles: Number of tiles on that way.
        highest_score: The highest positive score over all tiles, 0 to 1.
        unfamiliar_share: Share of the tiles that are unlike the training images, 0 to 1; None where it is unknown.
    """

    is_positive: bool
    cracked_share: float
    regions: int
    longest_run_px: float
    longest_run_tiles: int
    highest_score: float
    tiles: int
    positive_tiles: int
    unfamiliar_share: float | None = None

    def __str__(self) -> str:
        """For a line of text."""
        strange = self.unfamiliar_share
        unfamiliar = f", {strange:.1%} of its tiles unlike the training images" if strange else ""
        return (
            f"cracked area {self.cracked_share:.1%}, longest run {self.longest_run_px:,.0f} px, "
            f"{self.regions} region{'' if self.regions == 1 else 's'}, highest score {self.highest_score:.2f}"
            f"{unfamiliar}"
        )


def find_regions(positive: np.ndarray) -> np.ndarray:
    """Numbers the regions of bool (rows, columns): int (rows, columns), 0 where a tile is not positive."""
    numbers, _ = ndimage.label(positive, _NEIGHBOURS)
    return np.asarray(numbers)


def measure(scores: np.ndarray, threshold: float, grid: Grid, unfamiliarity: np.ndarray | None = None) -> Measures:
    """Sums up the positive scores of a photograph's tiles, float (rows, columns), 0 to 1, and their unfamiliarity."""
    positive = is_positive(scores, threshold)
    areas = grid.cell_areas()
    regions = find_regions(positive)
    run_px, run_tiles = _longest_run(regions, grid)
    return Measures(
        is_positive=bool(positive.any()),
        cracked_share=float(areas[positive].sum() / areas.sum()),
        regions=int(regions.max(initial=0)),
        longest_run_px=run_px,
        longest_run_tiles=run_tiles,
        highest_score=float(scores.max()),
        tiles=scores.size,
        positive_tiles=int(positive.sum()),
        unfamiliar_share=None if unfamiliarity is None else float((unfamiliarity > 1).mean()),
    )


def is_positive(scores: np.ndarray, threshold: float) -> np.ndarray:
    """The model's decision, in its precision: a score that is no number is positive."""
    return ~(scores.astype(np.float32) < np.float32(threshold))


def _longest_run(regions: np.ndarray, grid: Grid) -> tuple[float, int]:
    graph, indices = _ways(regions, grid)
    longest = (0.0, 0)
    half = (np.diff(grid.rows.edges).mean() + np.diff(grid.columns.edges).mean()) / 4
    for number in range(1, regions.max(initial=0) + 1):
        start = indices[np.flatnonzero(regions.ravel() == number)[0]]
        length = -1.0
        # Goes to the farthest tile until the way gets no longer.
        while True:
            distances, before = csgraph.dijkstra(graph, indices=start, return_predecessors=True)
            farthest = int(np.where(np.isfinite(distances), distances, -1).argmax())
            if distances[farthest] <= length + 1e-9:
                break
            length, end = float(distances[farthest]), farthest
            tiles = 1
            while (end := int(before[end])) >= 0:
                tiles += 1
            start = farthest
        longest = max(longest, (length + 2 * half, tiles))
    return longest


def _ways(regions: np.ndarray, grid: Grid) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Distances of neighbouring positive tiles, and each tile's index among the positive ones."""
    positive = regions > 0
    indices = np.cumsum(positive.ravel()) - 1
    number = indices.reshape(positive.shape)
    middles = [np.array([sum(pair) / 2 for pair in pairwise(axis.edges)]) for axis in (grid.rows, grid.columns)]
    y, x = np.meshgrid(*middles, indexing="ij")
    sources, targets, lengths = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (slice(0, positive.shape[0] - down), slice(max(0, -right), positive.shape[1] - max(0, right)))
        there = (slice(down, None), slice(max(0, right), positive.shape[1] + min(0, right)))
        both = positive[here] & positive[there]
        sources.append(number[here][both])
        targets.append(number[there][both])
        lengths.append(np.hypot(y[there] - y[here], x[there] - x[here])[both])
    one_way = sparse.csr_matrix(
        (np.concatenate(lengths), (np.concatenate(sources), np.concatenate(targets))), shape=(positive.sum(),) * 2
    )
    return one_way + one_way.T, indices
