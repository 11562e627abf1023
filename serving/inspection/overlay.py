"""A photograph's pictures: itself and its heat map as layers for a page, and the two in one with a legend."""

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from crackgate.atomic_files import whole_file
from serving.inspection.grid import Grid
from serving.inspection.measures import Measures, is_positive

PHOTOGRAPH_FILE, HEAT_FILE, MARKED_FILE = "photograph.jpg", "heat.webp", "overlay.jpg"
# Longest side of the photograph in the pictures, in pixels: enough for a screen, and quick to write.
_LONGEST = 2048
_NARROWEST = 640
# Of scores from 0 to 1, uint8 (256, 3).
COLOURS = (matplotlib.colormaps["YlOrRd"](np.linspace(0.15, 1, 256))[:, :3] * 255).astype(np.uint8)
_INK, _PAPER, _OUTLINE = (30, 30, 30), (250, 250, 250), (255, 255, 255, 255)
_STRONGEST = 0.6
_QUALITY = 88


def write_pictures(
    folder: Path, pixels: np.ndarray, scores: np.ndarray, threshold: float, grid: Grid, measures: Measures, title: str
) -> None:
    """Draws and writes three pictures, no larger than a screen needs.

    `photograph.jpg` is the photograph, `heat.webp` the heat map to lay over it, and `overlay.jpg` both, with a legend
    of `measures` and `title`, one line. Colours stand for the scores at the tiles' middles, and between them for scores
    in between. White lines go around the cells of positive tiles.

    Args:
        folder: Receives the files.
        pixels: uint8 (height, width, 3), the photograph.
        scores: float (rows, columns), of the positive class.
        threshold: From which score on a tile is positive.
    """
    height, width, _ = pixels.shape
    zoom = min(1.0, _LONGEST / max(height, width))
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BOX)
    heat = _draw_heat(scores, threshold, grid, size)
    _outline(heat, is_positive(scores, threshold), grid, zoom)
    with whole_file(folder / PHOTOGRAPH_FILE) as file:
        small.save(file, "JPEG", quality=_QUALITY)
    with whole_file(folder / HEAT_FILE) as file:
        heat.save(file, "WEBP", quality=_QUALITY, method=0)
    small.paste(heat, (0, 0), heat)
    with whole_file(folder / MARKED_FILE) as file:
        _with_legend(small, threshold, measures, title).save(file, "JPEG", quality=_QUALITY)


def _draw_heat(scores: np.ndarray, threshold: float, grid: Grid, size: tuple[int, int]) -> Image.Image:
    heat = _spread(np.nan_to_num(scores, nan=1.0), grid, size)
    # Scores far from the threshold are not tinted.
    opacity = _STRONGEST * np.clip((heat - threshold / 2) / max(threshold / 2, 1e-6), 0, 1)
    layer = np.zeros((*heat.shape, 4), np.uint8)
    layer[..., :3] = COLOURS[(heat * 255).astype(np.uint8)]
    layer[..., 3] = opacity * 255
    # Colours that nobody sees would only take bytes.
    layer[layer[..., 3] == 0] = 0
    return Image.fromarray(layer)


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


def _with_legend(picture: Image.Image, threshold: float, measures: Measures, title: str) -> Image.Image:
    heading, text = ImageFont.load_default(26), ImageFont.load_default(18)
    bar, margin, line = 220, 16, 24
    width = max(picture.width, _NARROWEST)
    left = width - bar - 3 * margin
    blank = ImageDraw.Draw(picture)
    while title and blank.textlength(title, heading) > left - 2 * margin:
        title = title[:-2]
    lines = [""]
    for word in str(measures).split():
        longer = f"{lines[-1]} {word}".strip()
        if blank.textlength(longer, text) > width - 2 * margin:
            lines.append(word)
        else:
            lines[-1] = longer
    top = picture.height
    page = Image.new("RGB", (width, top + 92 + line * len(lines)), _PAPER)
    page.paste(picture, (0, 0))
    draw = ImageDraw.Draw(page)
    draw.text((margin, top + 28), title, _INK, heading)
    for number, said in enumerate(lines):
        draw.text((margin, top + 84 + line * number), said, _INK, text)
    steps = np.broadcast_to(COLOURS[np.linspace(0, 255, bar).astype(int)], (18, bar, 3))
    page.paste(Image.fromarray(np.ascontiguousarray(steps)), (left, top + 36))
    draw.text((left, top + 8), "score of the tile", _INK, text)
    mark = left + threshold * bar
    draw.line([(mark, top + 32), (mark, top + 58)], _INK, 2)
    # The ends stand beside the bar, so that the threshold's number below it meets neither.
    for x, y, label, anchor in (
        (left - 6, 45, "0", "rm"),
        (left + bar + 6, 45, "1", "lm"),
        (mark, 62, f"{threshold:.2f}", "ma"),
    ):
        draw.text((x, top + y), label, _INK, text, anchor=anchor)
    return page
