"""The tiles of a photograph for other programs: CSV of all, GeoJSON of the positive ones.

Coordinates are pixels of the photograph as a viewer shows it (turned as its EXIF orientation says): x to the right and
y down from the upper left corner, the end of a box not included.
"""

import csv
import json
from pathlib import Path

import numpy as np

from serving.inspection.grid import Grid
from serving.inspection.measures import find_regions, is_positive

COLUMNS = ("row", "column", "x_min", "y_min", "x_max", "y_max", "score", "is_positive", "region")


def write_csv(file: Path, scores: np.ndarray, threshold: float, grid: Grid) -> None:
    """Writes one line for each tile; `region` is empty where a tile is not positive."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(COLUMNS)
        for tile in _tiles(scores, threshold, grid):
            rows.writerow([*tile[:6], f"{tile[6]:.6f}", json.dumps(tile[7]), tile[8] or ""])


def write_geojson(file: Path, scores: np.ndarray, threshold: float, grid: Grid, photograph: str) -> None:
    """Writes a FeatureCollection (RFC 7946, but for the coordinates) with a Polygon for each positive tile."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]]},
            "properties": {"row": row, "column": column, "score": round(score, 6), "region": region},
        }
        for row, column, x0, y0, x1, y1, score, positive, region in _tiles(scores, threshold, grid)
        if positive
    ]
    collection = {
        "type": "FeatureCollection",
        "photograph": {"name": photograph, "width": grid.columns.length, "height": grid.rows.length},
        "features": features,
    }
    file.write_text(json.dumps(collection, ensure_ascii=False), encoding="utf-8")


_Tile = tuple[int, int, int, int, int, int, float, bool, int]


def _tiles(scores: np.ndarray, threshold: float, grid: Grid) -> list[_Tile]:
    positive = is_positive(scores, threshold)
    regions = find_regions(positive)
    return [
        (
            row,
            column,
            int(x[0]),
            int(y[0]),
            int(x[1]),
            int(y[1]),
            float(np.nan_to_num(scores[row, column], nan=1.0)),
            bool(positive[row, column]),
            int(regions[row, column]),
        )
        for row, y in enumerate(grid.rows.boxes)
        for column, x in enumerate(grid.columns.boxes)
    ]
