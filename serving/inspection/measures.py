"""Measures of a photograph from the scores of its tiles."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from crackgate.plural import counted

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
        positive_tile_share: Share of the tiles that are positive, 0 to 1. It is no area: a hairline makes the whole of
            a tile positive.
        regions: Number of regions: sets of positive tiles whose cells touch at a side or at a corner.
        longest_run_tiles: Number of tiles of the longest run of any region; 0 without a region. A run is the longest of
            the shortest ways between two tiles of a region, from neighbour to neighbour. Exact in regions without
            loops, else a lower bound. It is no length of a crack: see decision record 0035.
        highest_score: The highest positive score over all tiles, 0 to 1.
        unfamiliar_share: Share of the tiles that are unlike the training images, 0 to 1; None where it is unknown.
    """

    is_positive: bool
    positive_tile_share: float
    regions: int
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
            f"share of tiles with cracks {self.positive_tile_share:.1%}, "
            f"longest run of {counted(self.longest_run_tiles, 'tile')}, "
            f"{counted(self.regions, 'region')}, highest score {self.highest_score:.2f}"
            f"{unfamiliar}"
        )


def find_regions(positive: np.ndarray) -> np.ndarray:
    """Numbers the regions of bool (rows, columns): int (rows, columns), 0 where a tile is not positive."""
    numbers, _ = ndimage.label(positive, _NEIGHBOURS)
    return np.asarray(numbers)


def measure(scores: np.ndarray, threshold: float, unfamiliarity: np.ndarray | None = None) -> Measures:
    """Sums up the positive scores of a photograph's tiles, float (rows, columns), 0 to 1, and their unfamiliarity."""
    positive = is_positive(scores, threshold)
    regions = find_regions(positive)
    return Measures(
        is_positive=bool(positive.any()),
        positive_tile_share=float(positive.mean()),
        regions=int(regions.max(initial=0)),
        longest_run_tiles=_longest_run(regions),
        highest_score=float(np.nan_to_num(scores, nan=1.0).max()),
        tiles=scores.size,
        positive_tiles=int(positive.sum()),
        unfamiliar_share=None if unfamiliarity is None else float((unfamiliarity > 1).mean()),
    )


def is_positive(scores: np.ndarray, threshold: float) -> np.ndarray:
    """The model's decision, in its precision: a score that is no number is positive."""
    return ~(scores.astype(np.float32) < np.float32(threshold))


def _longest_run(regions: np.ndarray) -> int:
    ways, indices = _ways(regions > 0)
    longest = 0
    for number in range(1, regions.max(initial=0) + 1):
        start = indices[np.flatnonzero(regions.ravel() == number)[0]]
        length = 0
        # Goes to the farthest tile until the way gets no longer.
        while True:
            steps = csgraph.dijkstra(ways, indices=start, unweighted=True)
            farthest = int(np.where(np.isfinite(steps), steps, -1).argmax())
            if steps[farthest] + 1 <= length:
                break
            length, start = int(steps[farthest]) + 1, farthest
        longest = max(longest, length)
    return longest


def _ways(positive: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """The graph of neighbouring positive tiles, and each tile's index among the positive ones."""
    indices = np.cumsum(positive.ravel()) - 1
    number = indices.reshape(positive.shape)
    sources, targets = [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (slice(0, positive.shape[0] - down), slice(max(0, -right), positive.shape[1] - max(0, right)))
        there = (slice(down, None), slice(max(0, right), positive.shape[1] + min(0, right)))
        both = positive[here] & positive[there]
        sources.append(number[here][both])
        targets.append(number[there][both])
    pairs = np.concatenate(sources), np.concatenate(targets)
    one_way = sparse.csr_matrix((np.ones(len(pairs[0])), pairs), shape=(positive.sum(),) * 2)
    return one_way + one_way.T, indices
