"""Histograms for the page."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.data_page.statistics import FeatureStatistics, Measure
from crackgate.pages.chart_style import Colour, draw_chart
from crackgate.pages.shown_text import show

# Inches.
_WIDTH, _ROW_HEIGHT, _AXIS_HEIGHT = 4.6, 0.62, 0.5
# Letters of a class's name.
_LONGEST_NAME = 16


def draw_histograms(measure: Measure, splits: dict[str, FeatureStatistics]) -> dict[str, str]:
    """Draws a measure as one row per split or class over a common axis, the median as a line; see `draw_chart`.

    `splits` holds one or more splits or classes, not all of a single value.
    """

    def draw(figure: Figure) -> None:
        rows = figure.subplots(len(splits), 1, sharex=True, squeeze=False)[:, 0]
        low, high = min(split.min for split in splits.values()), max(split.max for split in splits.values())
        for axes, (name, statistics) in zip(rows, splits.items(), strict=True):
            _draw_row(axes, name, statistics, least_width=(high - low) / 100)
        rows[-1].set_xlabel(measure.unit)
        rows[-1].xaxis.set_major_formatter("{x:,g}" if measure.digits else "{x:,.0f}")
        rows[-1].locator_params(axis="x", nbins=6, integer=measure.digits == 0)

    return draw_chart((_WIDTH, _ROW_HEIGHT * len(splits) + _AXIS_HEIGHT), draw)


def _draw_row(axes: Axes, name: str, statistics: FeatureStatistics, least_width: float) -> None:
    edges = statistics.edges
    if edges[0] == edges[-1]:
        # A single value, in one bucket or several of no width.
        axes.stairs([1], [edges[0] - least_width / 2, edges[0] + least_width / 2], fill=True, color=Colour.BARS)
    else:
        axes.stairs(statistics.heights, edges, fill=True, color=Colour.BARS)
    axes.axvline(statistics.median, color=Colour.MEDIAN, linewidth=1.4)
    # A class may have any name, "$" too.
    label = show(name)[:_LONGEST_NAME]
    axes.set_ylabel(label, parse_math=False, rotation="horizontal", horizontalalignment="right", va="center")
    axes.set_yticks([])
    axes.spines.left.set_visible(False)
