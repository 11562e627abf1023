"""The overlay: the photograph with its heat map, the outlines of positive tiles, and a legend."""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from serving.inspection.grid import Grid
from serving.inspection.measures import Measures, is_positive

# Longest side of the photograph in the overlay, in pixels: enough for a screen, and quick to write.
_LONGEST = 2048
_LEGEND = 96
_COLOURS = (matplotlib.colormaps["YlOrRd"](np.linspace(0.15, 1, 256))[:, :3] * 255).astype(np.float32)
_INK, _PAPER, _OUTLINE = (30, 30, 30), (250, 250, 250), (255, 255, 255)
_STRONGEST = 0.6


def write_overlay(
    file: Path, pixels: np.ndarray, scores: np.ndarray, threshold: float, grid: Grid, measures: Measures, title: str
) -> None:
    """Draws and writes a JPEG, no larger than a screen needs; the legend shows `measures` and `title`, one line.

    Colours stand for the scores at the tiles' middles, and between them for scores in between. White lines go around
    the cells of positive tiles.

    Args:
        pixels: uint8 (height, width, 3), the photograph.
        scores: float (rows, columns), of the positive class.
        threshold: From which score on a tile is positive.
    """
    height, width, _ = pixels.shape
    zoom = min(1.0, _LONGEST / max(height, width))
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX), dtype=np.float32)
    heat = _spread(np.nan_to_num(scores, nan=1.0), grid, size)[..., None]
    colours = _COLOURS[(heat[..., 0] * 255).astype(np.uint8)]
    # Scores far from the threshold are not tinted.
    opacity = _STRONGEST * np.clip((heat - threshold / 2) / max(threshold / 2, 1e-6), 0, 1)
    painted = Image.fromarray((small + opacity * (colours - small)).astype(np.uint8))
    _outline(painted, is_positive(scores, threshold), grid, zoom)
    page = Image.new("RGB", (max(size[0], 640), size[1] + _LEGEND), _PAPER)
    page.paste(painted, (0, 0))
    _write_legend(page, size[1], threshold, measures, title)
    page.save(file, "JPEG", quality=88)


def _spread(scores: np.ndarray, grid: Grid, size: tuple[int, int]) -> np.ndarray:
    """Interpolates scores linearly between the middles of tiles: float32 (height, width)."""

    def weights(boxes: np.ndarray, length: int, pixels: int) -> np.ndarray:
        positions = (np.arange(pixels) + 0.5) * length / pixels
        middles = boxes.mean(axis=1)
        return np.stack([np.interp(positions, middles, row) for row in np.eye(len(boxes))]).astype(np.float32)

    down = weights(grid.rows.boxes, grid.rows.length, size[1])
    across = weights(grid.columns.boxes, grid.columns.length, size[0])
    return np.clip(down.T @ scores.astype(np.float32) @ across, 0, 1)


def _outline(image: Image.Image, positive: np.ndarray, grid: Grid, zoom: float) -> None:
    draw = ImageDraw.Draw(image)
    framed = np.pad(positive, 1)
    x, y = (axis.edges * zoom for axis in (grid.columns, grid.rows))
    for row, column in np.argwhere(framed[:, :-1] != framed[:, 1:]):
        if 0 < column < len(x) - 1:
            draw.line([(x[column], y[row - 1]), (x[column], y[row])], _OUTLINE, 3)
    for row, column in np.argwhere(framed[:-1] != framed[1:]):
        if 0 < row < len(y) - 1:
            draw.line([(x[column - 1], y[row]), (x[column], y[row])], _OUTLINE, 3)


def _write_legend(page: Image.Image, top: int, threshold: float, measures: Measures, title: str) -> None:
    draw = ImageDraw.Draw(page)
    heading, text = ImageFont.load_default(26), ImageFont.load_default(18)
    bar, margin = 220, 16
    left = page.width - bar - 3 * margin
    while title and draw.textlength(title, heading) > left - 2 * margin:
        title = title[:-2]
    draw.text((margin, top + 12), title, _INK, heading)
    draw.text((margin, top + 54), str(measures), _INK, text)
    steps = np.broadcast_to(_COLOURS[np.linspace(0, 255, bar).astype(int)].astype(np.uint8), (18, bar, 3))
    page.paste(Image.fromarray(np.ascontiguousarray(steps)), (left, top + 36))
    draw.text((left, top + 8), "score of the tile", _INK, text)
    mark = left + threshold * bar
    draw.line([(mark, top + 32), (mark, top + 58)], _INK, 2)
    for x, label in ((left, "0"), (mark, f"{threshold:.2f}"), (left + bar, "1")):
        draw.text((x, top + 62), label, _INK, text, anchor="ma")
