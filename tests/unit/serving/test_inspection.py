"""Geometry and measures of whole photographs, without a network."""

import csv
import io
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from serving.inspection.grid import lay_axis, lay_grid
from serving.inspection.measures import TileScores, measure
from serving.inspection.overlay import HEAT_FILE, MARKED_FILE, PHOTOGRAPH_FILE, write_pictures
from serving.inspection.photograph import scale
from serving.inspection.tile_files import Tile, render_csv, render_geojson

lengths = st.integers(32, 6000)


@given(lengths, st.integers(32, 800), st.sampled_from([32, 64, 150, 160, 224]), st.floats(0, 0.9))
@settings(deadline=None)
def test_tiles_cover_every_pixel_with_the_overlap_asked_for_and_cells_divide_the_photograph(
    length: int, tile: int, size: int, overlap: float
) -> None:
    axis = lay_axis(length, tile, size, overlap)
    assert axis.starts[0] == 0 and axis.starts[-1] + size == axis.scaled
    steps = np.diff(axis.starts)
    assert (steps > 0).all() and (steps <= max(1, size * (1 - overlap)) + 1).all()
    assert axis.boxes[0, 0] == 0 and axis.boxes[-1, 1] == length
    assert (axis.boxes[1:, 0] <= axis.boxes[:-1, 1]).all(), "no pixel between two tiles"
    assert axis.edges[0] == 0 and axis.edges[-1] == length and (np.diff(axis.edges) >= 0).all()
    # A tile sees its own cell.
    assert (axis.boxes[:, 0] <= axis.edges[:-1] + 1).all() and (axis.boxes[:, 1] >= axis.edges[1:] - 1).all()
    assert axis.padded / axis.scaled == pytest.approx(tile / size, rel=1 / size)


@given(lengths, lengths, st.data())
@settings(deadline=None, max_examples=40)
def test_the_share_is_that_of_the_positive_tiles(width: int, height: int, data: st.DataObject) -> None:
    grid = lay_grid(width, height, 227, 160, 0.5)
    positive = np.random.default_rng(data.draw(st.integers(0, 99))).random(grid.shape) < 0.2
    measures = measure(positive.astype(np.float32), 0.5)
    assert measures.positive_tile_share == pytest.approx(positive.sum() / positive.size)
    assert measures.positive_tiles == positive.sum() and measures.is_positive == positive.any()
    assert (measures.regions > 0) == (measures.longest_run_tiles > 0) == positive.any()


def test_the_longest_run_goes_round_corners_and_stays_in_its_region() -> None:
    grid = lay_grid(32 * 12, 32 * 12, 32, 32, 0)
    scores = np.zeros(grid.shape, np.float32)
    # An angle of 4 down and 5 across, which cuts its corner; a far tile alone; two that touch at a corner.
    scores[1:5, 1] = scores[4, 1:6] = 0.9
    scores[11, 11] = 0.8
    scores[0, 10] = scores[1, 11] = 0.7
    measures = measure(scores, 0.7)
    assert measures.regions == 3 and measures.positive_tiles == 11 and measures.highest_score == pytest.approx(0.9)
    assert measures.longest_run_tiles == 7


def test_nothing_found_and_scores_that_are_no_numbers() -> None:
    grid = lay_grid(100, 100, 50, 32, 0)
    nothing = measure(np.zeros(grid.shape, np.float32), 0.5)
    assert not nothing.is_positive and nothing.positive_tile_share == nothing.longest_run_tiles == nothing.regions == 0
    assert measure(np.full(grid.shape, np.nan, np.float32), 0.5).positive_tile_share == 1, "nothing is waved through"


def test_boxes_are_told_to_other_programs() -> None:
    grid = lay_grid(300, 200, 100, 32, 0.5)
    scores = np.zeros(grid.shape, np.float32)
    scores[0, 0] = scores[-1, -1] = 0.75
    unfamiliarity = np.full(grid.shape, 0.5, np.float32)
    unfamiliarity[0, 1] = 2
    rows = list(csv.DictReader(io.StringIO(render_csv(TileScores(scores, unfamiliarity), 0.5, grid))))
    assert list(rows[0]) == [*Tile._fields, "unfamiliarity"] and len(rows) == scores.size
    assert [row["unfamiliarity"] for row in rows[:3]] == ["0.5000", "2.0000", "0.5000"]
    older = csv.DictReader(io.StringIO(render_csv(TileScores(scores, None), 0.5, grid)))
    assert {row["unfamiliarity"] for row in older} == {""}
    assert measure(scores, 0.5, unfamiliarity).unfamiliar_share == pytest.approx(1 / scores.size)
    assert measure(scores, 0.5).unfamiliar_share is None
    assert (rows[0]["x_min"], rows[0]["y_min"], rows[0]["is_positive"], rows[0]["region"]) == ("0", "0", "true", "1")
    assert (rows[-1]["x_max"], rows[-1]["y_max"], rows[-1]["region"]) == ("300", "200", "2")
    assert {row["region"] for row in rows} == {"1", "2", ""}
    found = json.loads(render_geojson(scores, 0.5, grid, "wall.jpg"))
    assert found["type"] == "FeatureCollection" and len(found["features"]) == 2
    for feature in found["features"]:
        (ring,) = feature["geometry"]["coordinates"]
        assert feature["type"] == "Feature" and feature["geometry"]["type"] == "Polygon"
        assert len(ring) == 5 and ring[0] == ring[-1]
        area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring)) / 2
        assert area > 0, "RFC 7946: the outer ring runs counterclockwise"


@pytest.mark.parametrize("size", [(300, 200), (40, 50), (33, 400)])
def test_a_photograph_of_any_size_is_scaled_to_its_grid_and_gets_its_overlay(
    size: tuple[int, int], tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    grid = lay_grid(*size, 100, 32, 0.5)
    scaled = scale(pixels, grid)
    assert scaled.shape == (grid.rows.scaled, grid.columns.scaled, 3)
    scores = np.zeros(grid.shape, np.float32)
    flat = np.full_like(pixels, 100)
    folders = [tmp_path / name for name in ("sound", "cracked")]
    for folder, level, title in zip(folders, (0, 1), ("a name that is " + "long " * 40, "b"), strict=True):
        folder.mkdir()
        scores[0, 0] = level
        write_pictures(folder, flat, scores, 0.5, grid, measure(scores, 0.5), title)
    sound, cracked = (np.asarray(Image.open(folder / MARKED_FILE), np.float32) for folder in folders)
    assert np.abs(sound[: size[1], : size[0]] - 100).max() < 12, "what scores nothing is not tinted"
    red, _, blue = cracked[3, 3]
    assert red - blue > 30
    for folder, tinted in zip(folders, (False, True), strict=True):
        layers = [Image.open(folder / name) for name in (PHOTOGRAPH_FILE, HEAT_FILE)]
        assert [layer.size for layer in layers] == [size] * 2
        assert bool(np.asarray(layers[1])[..., 3].any()) is tinted
        assert np.abs(np.asarray(layers[0], np.float32) - 100).max() < 3, "the photograph itself is not tinted"


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.92, 1.0])
def test_no_number_of_the_legend_meets_another(threshold: float, tmp_path: Path) -> None:
    grid = lay_grid(300, 200, 100, 32, 0.5)
    scores = np.zeros(grid.shape, np.float32)
    write_pictures(
        tmp_path, np.full((200, 300, 3), 100, np.uint8), scores, threshold, grid, measure(scores, 0.5, scores + 2), ""
    )
    legend = np.asarray(Image.open(tmp_path / MARKED_FILE).convert("L"))[200:]
    assert legend.shape[1] == 640
    ink = legend < 120
    # The bar begins 48 pixels and its length before the right edge; the threshold's number is below it.
    left, right = 640 - 220 - 48, 640 - 48
    assert ink[36:56, left - 20 : left - 4].any() and ink[36:56, right + 4 : right + 20].any()
    number = np.flatnonzero(ink[64:78, left - 40 :].any(axis=0)) + left - 40
    assert abs(number.mean() - (left + threshold * 220)) < 6
    assert not ink[57:62, left - 20 : left - 4].any() and not ink[57:62, right + 4 :].any()
    assert not ink[:, -4:].any(), "all words end before the edge"
