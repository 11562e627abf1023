"""Scores of all tiles of a photograph."""

import numpy as np

from crackgate.model.decision import positive_score
from crackgate.model.released_model import ReleasedModel
from serving.inspection.grid import Grid


def score_tiles(model: ReleasedModel, pixels: np.ndarray, grid: Grid) -> np.ndarray:
    """Runs every tile of a scaled photograph, uint8 (height, width, 3), through a network with positive classes.

    Returns:
        float32 (rows, columns), the positive score of each tile, 0 to 1: its scores of the positive classes together.
    """
    assert model.decision is not None
    positives, size = model.decision.labels, model.image_size
    scores = np.empty(grid.shape, np.float32)
    for row, y in enumerate(grid.rows.starts):
        tiles = np.stack([pixels[y : y + size, x : x + size] for x in grid.columns.starts])
        scores[row] = positive_score(model.examine_pixels(tiles.astype(np.float32)).scores, positives)
    return scores
