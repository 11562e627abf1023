"""Histograms for the page, drawn by matplotlib."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.data_page.statistics import Measure, Summary


@dataclass(frozen=True)
class Palette:
    """Colours of a chart on a transparent ground."""

    text: str
    line: str
    bars: str
    median: str


LIGHT = Palette(text="#3d444d", line="#8c959f", bars="#9dbbdc", median="#0b3d78")
DARK = Palette(text="#c4ccd6", line="#6e7681", bars="#41658f", median="#c3dcf8")

_STYLE: dict[Any, Any] = {
    # Text stays text, in the reader's font, and the same numbers always give the same file.
    "svg.fonttype": "none",
    "svg.hashsalt": "data page",
    "font.sans-serif": ["system-ui", "DejaVu Sans"],
    "font.size": 10,
}
# Inches; matplotlib writes 72 points an inch.
_WIDTH, _ROW_HEIGHT, _AXIS_HEIGHT = 4.6, 0.62, 0.5


def draw_histograms(measure: Measure, splits: dict[str, Summary], palette: Palette) -> str:
    """Draws one measure, a row per split over a common axis, the median as a line.

    Args:
        measure: What is drawn.
        splits: Its summaries, one or more, not all of a single value.
        palette: The colours.

    Returns:
        A data URI of an SVG.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, _ROW_HEIGHT * len(splits) + _AXIS_HEIGHT), layout="constrained")
        rows = figure.subplots(len(splits), 1, sharex=True, squeeze=False)[:, 0]
        low, high = min(split.min for split in splits.values()), max(split.max for split in splits.values())
        for axes, (name, summary) in zip(rows, splits.items(), strict=True):
            _draw_row(axes, name, summary, (high - low) / 100, palette)
        rows[-1].set_xlabel(measure.unit, color=palette.text)
        rows[-1].xaxis.set_major_formatter("{x:,g}" if measure.digits else "{x:,.0f}")
        rows[-1].locator_params(axis="x", nbins=6, integer=measure.digits == 0)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def _draw_row(axes: Axes, name: str, summary: Summary, least_width: float, palette: Palette) -> None:
    edges = summary.edges
    if edges[0] == edges[-1]:
        # A single value, in one bucket or several of no width.
        axes.stairs([1], [edges[0] - least_width / 2, edges[0] + least_width / 2], fill=True, color=palette.bars)
    else:
        axes.stairs(summary.heights, edges, fill=True, color=palette.bars)
    axes.axvline(summary.median, color=palette.median, linewidth=1.4)
    axes.set_ylabel(name, color=palette.text, rotation="horizontal", horizontalalignment="right", va="center")
    axes.set_yticks([])
    axes.tick_params(labelcolor=palette.text, color=palette.line)
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(palette.line)
