"""How our charts look: drawn by matplotlib, for a light and for a dark page."""

import base64
import io
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import matplotlib
from matplotlib.figure import Figure


class Colour(StrEnum):
    """The colours of a chart. `draw_chart` replaces the values by the colours of a light and of a dark page."""

    TEXT = "#0a0b01"
    # Axes, ticks and lines of reference.
    LINE = "#0a0b02"
    BARS = "#0a0b03"
    MEDIAN = "#0a0b04"
    FIRST = "#0a0b05"
    SECOND = "#0a0b06"
    THIRD = "#0a0b07"
    # Marked points and thresholds.
    MARK = "#0a0b08"


# Lines of several series, told apart by lightness too.
SERIES = (Colour.FIRST, Colour.SECOND, Colour.THIRD)

_SCHEMES = {
    "light": {
        Colour.TEXT: "#3d444d",
        Colour.LINE: "#8c959f",
        Colour.BARS: "#9dbbdc",
        Colour.MEDIAN: "#0b3d78",
        Colour.FIRST: "#0b3d78",
        Colour.SECOND: "#c2410c",
        Colour.THIRD: "#5b8c2a",
        Colour.MARK: "#b4232c",
    },
    "dark": {
        Colour.TEXT: "#c4ccd6",
        Colour.LINE: "#6e7681",
        Colour.BARS: "#41658f",
        Colour.MEDIAN: "#c3dcf8",
        Colour.FIRST: "#9cc7f5",
        Colour.SECOND: "#f0a268",
        Colour.THIRD: "#a5d16f",
        Colour.MARK: "#ff8a8a",
    },
}
_STYLE: dict[Any, Any] = {
    # Text stays text, in the reader's font, and the same numbers always give the same file.
    "svg.fonttype": "none",
    "svg.hashsalt": "data page",
    "font.sans-serif": ["system-ui", "DejaVu Sans"],
    "font.size": 10,
    "axes.labelcolor": Colour.TEXT,
    "axes.edgecolor": Colour.LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": Colour.LINE,
    "ytick.color": Colour.LINE,
    "xtick.labelcolor": Colour.TEXT,
    "ytick.labelcolor": Colour.TEXT,
    "legend.frameon": False,
    "legend.labelcolor": Colour.TEXT,
}


def draw_chart(size: tuple[float, float], draw: Callable[[Figure], None]) -> dict[str, str]:
    """Draws a chart on a transparent ground, its size in inches; matplotlib writes 72 points an inch.

    Returns data URIs of an SVG for a "light" and for a "dark" page: the same chart always gives the same text.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        # Laying a chart out takes longest, so it is drawn once for both schemes.
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return {name: _to_uri(buffer.getvalue(), colours) for name, colours in _SCHEMES.items()}


def _to_uri(svg: str, colours: dict[Colour, str]) -> str:
    for stand_in, colour in colours.items():
        svg = svg.replace(stand_in, colour)
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
