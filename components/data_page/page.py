"""Putting the page together."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from components.data_page.charts import draw_histograms
from components.data_page.samples import LISTED, ORDERS, Group, Image, Samples
from components.data_page.statistics import MEASURES, Measure, Summaries, Summary
from crackgate.contracts.account import Account, AccountRow
from crackgate.images.image_folder import readable_path
from crackgate.pages.html import html_environment

TEMPLATE_FILE = "page.html.jinja"
# Files listed for each reason.
_LISTED_FILES = 200

# What the lists are called, and how the value is said.
_EXTREMES: dict[str, tuple[str, Callable[[Image], str]]] = {
    "darkest": ("lowest mean grey level", lambda image: f"{image['brightness']:.1f}"),
    "brightest": ("highest mean grey level", lambda image: f"{image['brightness']:.1f}"),
    "lowest contrast": ("lowest standard deviation of the grey levels", lambda image: f"{image['contrast']:.1f}"),
    "blurriest": ("lowest variance of the Laplacian", lambda image: f"{image['sharpness']:,.1f}"),
    "sharpest": ("highest variance of the Laplacian", lambda image: f"{image['sharpness']:,.1f}"),
    "lowest entropy": ("of the histogram of grey levels", lambda image: f"{image['entropy']:.2f} bits"),
    "smallest": ("fewest pixels", lambda image: f"{image['width']:,} x {image['height']:,}"),
    "largest": ("most pixels", lambda image: f"{image['width']:,} x {image['height']:,}"),
}


def render_page(account: Account, summaries: Summaries, samples: Samples, thumbnails: dict[str, str]) -> str:
    """Renders the page: the same arguments always give the same text.

    Args:
        account: ImageExampleGen's account of the files.
        summaries: TFDV's numbers.
        samples: The images to show.
        thumbnails: Their data URIs by path; an image without one is shown by its path alone.

    Returns:
        HTML that refers to nothing outside itself.
    """
    return (
        html_environment(Path(__file__).parent)
        .get_template(TEMPLATE_FILE)
        .render(
            account=account,
            splits=list(account.splits),
            counts=_count(account.splits),
            measures=[_describe(measure, summaries) for measure in MEASURES],
            listed=LISTED,
            extremes=_describe_extremes(samples.extremes, thumbnails),
            groups=[_group(group, thumbnails) for group in samples.groups],
            rejected=_by_reason(account.rejected),
            warnings=_by_reason(account.warnings),
        )
    )


def _count(images: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    """A row per class and one for all of them; a cell is a count and its share, None of nothing."""
    sizes = [sum(counts.values()) for counts in images.values()]
    classes = list(dict.fromkeys(name for counts in images.values() for name in counts))
    rows: list[dict[str, Any]] = []
    for name in classes:
        counts = [split.get(name, 0) for split in images.values()]
        cells = zip([*counts, sum(counts)], [*sizes, sum(sizes)], strict=True)
        rows.append({"name": name, "cells": [_cell(count, size) for count, size in cells]})
    rows.append({"name": None, "cells": [_cell(size, sum(sizes)) for size in [*sizes, sum(sizes)]]})
    return rows


def _cell(count: int, whole: int) -> tuple[int, float | None]:
    return count, count / whole if whole else None


def _describe(measure: Measure, summaries: Summaries) -> dict[str, Any]:
    """A measure's histograms in both colour schemes, or the only value that it has, and its table."""
    found = {split: of[measure.feature] for split, of in summaries.items() if measure.feature in of}
    values = {bound for summary in found.values() for bound in (summary.min, summary.max)}
    return {
        "title": measure.title,
        "unit": measure.unit,
        "charts": draw_histograms(measure, found) if len(values) > 1 else None,
        "alt": "; ".join(f"{split}: median {s.median:,.{measure.digits}f}" for split, s in found.items()),
        "only_value": f"{values.pop():,.{measure.digits}f}" if len(values) == 1 else None,
        "rows": [(split, list(_numbers(summary, measure.digits))) for split, summary in found.items()],
    }


def _numbers(summary: Summary, digits: int) -> Iterator[str]:
    yield f"{summary.count:,}"
    yield f"{summary.missing:,}"
    yield f"{summary.mean:,.{digits + 1}f}"
    yield f"{summary.std:,.{digits + 1}f}"
    for value in (summary.min, summary.median, summary.max):
        yield f"{value:,.{digits}f}"
    yield f"{summary.zeros:,}"


def _describe_extremes(extremes: dict[str, list[Image]], thumbnails: dict[str, str]) -> list[dict[str, Any]]:
    sizes = {image["pixels"] for name in ("smallest", "largest") for image in extremes[name]}
    described = []
    for name, images in extremes.items():
        meaning, say = _EXTREMES[name]
        # Where all are of one size, none is small or large.
        if ORDERS[name][0] != "pixels" or len(sizes) > 1:
            figures = [_figure(image, thumbnails, say(image)) for image in images]
            described.append({"title": name.capitalize(), "meaning": meaning, "figures": figures})
    return described


def _group(group: Group, thumbnails: dict[str, str]) -> dict[str, Any]:
    figures = [_figure(image, thumbnails, "") for image in group.members]
    return {"name": group.name, "size": group.size, "figures": figures}


def _figure(image: Image, thumbnails: dict[str, str], value: str) -> dict[str, str]:
    return {
        "path": readable_path(image["path"].encode("utf-8", "surrogateescape")),
        "split": image["split"],
        "class": image["class"],
        "value": value,
        "thumbnail": thumbnails.get(image["path"], ""),
    }


def _by_reason(files: list[AccountRow]) -> list[dict[str, Any]]:
    """The files by their reasons, the most frequent first."""
    found = defaultdict(list)
    for file in files:
        found[file.reason].append(file)
    return [
        {"reason": reason, "count": len(rows), "files": rows[:_LISTED_FILES], "more": max(len(rows) - _LISTED_FILES, 0)}
        for reason, rows in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
