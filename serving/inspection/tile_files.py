"""The tiles of a photograph for other programs: CSV of all, GeoJSON of the positive ones.

Coordinates are pixels of the photograph as a viewer shows it: x to the right and y down from the upper left corner, the
end of a tile not included.
"""

import csv
import io
import json
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from serving.inspection.grid import Grid
from serving.inspection.measures import TileScores, find_regions, is_positive

TILES_FILE, POSITIVE_TILES_FILE = "tiles.csv", "tiles.geojson"


class Tile(NamedTuple):
    """One tile, by the columns of the CSV file; `score` and `region` as in `measures`."""

    row: int
    column: int
    x_min: int
    y_min: int
    x_max: int
    y_max: int
    score: float
    is_positive: bool
    region: int


def render_csv(tiles: TileScores, threshold: float, grid: Grid) -> str:
    """One line for each tile; `region` is empty where a tile is not positive.

    The last column, `unfamiliarity`, is empty where it is unknown.
    """
    unfamiliarity = [""] * tiles.scores.size
    if tiles.unfamiliarity is not None:
        unfamiliarity = [f"{value:.4f}" for value in tiles.unfamiliarity.flat]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*Tile._fields, "unfamiliarity"])
    for tile, value in zip(_tiles(tiles.scores, threshold, grid), unfamiliarity, strict=True):
        rows.writerow([*tile[:6], f"{tile.score:.6f}", json.dumps(tile.is_positive), tile.region or "", value])
    return text.getvalue()


def render_geojson(scores: np.ndarray, threshold: float, grid: Grid, photograph: str) -> str:
    """A FeatureCollection (RFC 7946, but for the coordinates) with a Polygon for each positive tile."""
    collection = {
        "type": "FeatureCollection",
        "photograph": {"name": photograph, "width": grid.columns.length, "height": grid.rows.length},
        "features": [_feature(tile) for tile in _tiles(scores, threshold, grid) if tile.is_positive],
    }
    return json.dumps(collection, ensure_ascii=False)


def _feature(tile: Tile) -> dict[str, object]:
    x0, y0, x1, y1 = tile.x_min, tile.y_min, tile.x_max, tile.y_max
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]]},
        "properties": {"row": tile.row, "column": tile.column, "score": round(tile.score, 6), "region": tile.region},
    }


def _tiles(scores: np.ndarray, threshold: float, grid: Grid) -> Iterator[Tile]:
    positive = is_positive(scores, threshold)
    regions = find_regions(positive)
    for (row, column), score in np.ndenumerate(np.nan_to_num(scores, nan=1.0)):
        (x_min, x_max), (y_min, y_max) = grid.columns.boxes[column].tolist(), grid.rows.boxes[row].tolist()
        found = bool(positive[row, column]), int(regions[row, column])
        yield Tile(row, column, x_min, y_min, x_max, y_max, float(score), *found)
