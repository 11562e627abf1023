"""Histograms for the page."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.data_page.statistics import Measure, Summary
from crackgate.pages.chart_style import Palette, colour_axes, draw_for_both

# Inches.
_WIDTH, _ROW_HEIGHT, _AXIS_HEIGHT = 4.6, 0.62, 0.5


def draw_histograms(measure: Measure, splits: dict[str, Summary]) -> dict[str, str]:
    """Draws one measure, a row per split over a common axis, the median as a line.

    Args:
        measure: What is drawn.
        splits: Its summaries, one or more, not all of a single value.

    Returns:
        Data URIs of SVGs for a "light" and a "dark" page.
    """

    def draw(figure: Figure, palette: Palette) -> None:
        rows = figure.subplots(len(splits), 1, sharex=True, squeeze=False)[:, 0]
        low, high = min(split.min for split in splits.values()), max(split.max for split in splits.values())
        for axes, (name, summary) in zip(rows, splits.items(), strict=True):
            _draw_row(axes, name, summary, (high - low) / 100, palette)
        rows[-1].set_xlabel(measure.unit, color=palette.text)
        rows[-1].xaxis.set_major_formatter("{x:,g}" if measure.digits else "{x:,.0f}")
        rows[-1].locator_params(axis="x", nbins=6, integer=measure.digits == 0)

    return draw_for_both((_WIDTH, _ROW_HEIGHT * len(splits) + _AXIS_HEIGHT), draw)


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
    colour_axes(axes, palette)
