"""How our charts look: drawn by matplotlib, for a light and for a dark page."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Palette:
    """Colours of a chart on a transparent ground.

    Attributes:
        text: Titles, labels and numbers.
        line: Axes and ticks.
        bars: Surfaces.
        median: Lines over surfaces.
        series: Lines of several series, told apart by lightness too.
        mark: What is pointed out.
    """

    text: str
    line: str
    bars: str
    median: str
    series: tuple[str, str, str]
    mark: str

    @property
    def colours(self) -> tuple[str, ...]:
        """All of them, in one order."""
        return self.text, self.line, self.bars, self.median, *self.series, self.mark


LIGHT = Palette(
    text="#3d444d",
    line="#8c959f",
    bars="#9dbbdc",
    median="#0b3d78",
    series=("#0b3d78", "#c2410c", "#5b8c2a"),
    mark="#b4232c",
)
DARK = Palette(
    text="#c4ccd6",
    line="#6e7681",
    bars="#41658f",
    median="#c3dcf8",
    series=("#9cc7f5", "#f0a268", "#a5d16f"),
    mark="#ff8a8a",
)
# Laying a chart out takes longest, so it is drawn once, in colours that are found again in its text.
_STAND_INS = Palette(
    text="#0a0b01",
    line="#0a0b02",
    bars="#0a0b03",
    median="#0a0b04",
    series=("#0a0b05", "#0a0b06", "#0a0b07"),
    mark="#0a0b08",
)

_STYLE: dict[Any, Any] = {
    # Text stays text, in the reader's font, and the same numbers always give the same file.
    "svg.fonttype": "none",
    "svg.hashsalt": "data page",
    "font.sans-serif": ["system-ui", "DejaVu Sans"],
    "font.size": 10,
}


def draw_svg(size: tuple[float, float], draw: Callable[[Figure], None]) -> str:
    """Draws a chart on a transparent ground.

    Args:
        size: Width and height in inches; matplotlib writes 72 points an inch.
        draw: Fills the figure.

    Returns:
        A data URI of an SVG: the same chart always gives the same text.
    """
    return _to_uri(_draw(size, draw))


def draw_for_both(size: tuple[float, float], draw: Callable[[Figure, Palette], None]) -> dict[str, str]:
    """Draws a chart for a "light" and for a "dark" page; see `draw_svg`."""
    drawn = _draw(size, lambda figure: draw(figure, _STAND_INS))
    return {name: _to_uri(_coloured(drawn, palette)) for name, palette in (("light", LIGHT), ("dark", DARK))}


def colour_axes(axes: Axes, palette: Palette, sides: tuple[str, ...] = ("bottom",)) -> None:
    """Colours labels, ticks and the spines at `sides`, and hides the other spines."""
    axes.tick_params(labelcolor=palette.text, color=palette.line)
    for name, spine in axes.spines.items():
        spine.set_visible(name in sides)
        spine.set_color(palette.line)


def _draw(size: tuple[float, float], draw: Callable[[Figure], None]) -> str:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _to_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _coloured(drawn: str, palette: Palette) -> str:
    for stand_in, colour in zip(_STAND_INS.colours, palette.colours, strict=True):
        drawn = drawn.replace(stand_in, colour)
    return drawn
