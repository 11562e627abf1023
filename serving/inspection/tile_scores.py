"""Scores of all tiles of a photograph."""

from collections.abc import Callable

import numpy as np

from crackgate.model.decision import positive_score
from crackgate.model.released_model import ReleasedModel
from serving.inspection.grid import Grid
from serving.inspection.measures import TileScores


def score_tiles(
    model: ReleasedModel, pixels: np.ndarray, grid: Grid, before_row: Callable[[], None] = lambda: None
) -> TileScores:
    """Runs every tile of a scaled photograph, uint8 (height, width, 3), through a network with positive classes.

    `before_row` is called before each row of tiles; an error of it ends the work.
    """
    assert model.decision is not None
    positives, size = model.decision.labels, model.image_size
    scores = np.empty(grid.shape, np.float32)
    unfamiliarity = None if model.familiarity is None else np.empty(grid.shape, np.float32)
    for row, y in enumerate(grid.rows.starts):
        before_row()
        tiles = np.stack([pixels[y : y + size, x : x + size] for x in grid.columns.starts])
        outputs = model.examine_pixels(tiles.astype(np.float32))
        scores[row] = positive_score(outputs.scores, positives)
        if unfamiliarity is not None:
            unfamiliarity[row] = outputs.unfamiliarity
    return TileScores(scores, unfamiliarity)
