"""The page as HTML."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from components.data_page.charts import draw_histograms
from components.data_page.qualities import Qualities
from components.data_page.samples import LISTED, ORDERS, SampledImage, Samples
from components.data_page.statistics import MEASURES, FeatureStatistics, Measure, StatisticsBySplit
from crackgate.contracts.account import Account, AccountRow
from crackgate.contracts.label_conflict import LabelConflict
from crackgate.contracts.scale_findings import ScaleFindings
from crackgate.images.image_folder import readable_path
from crackgate.pages.templates import render_html

TEMPLATE = Path(__file__).with_name("page.html.jinja")
# Histograms of so many classes are drawn.
_MOST_CLASSES = 12

# Measure and wording of the value, by the list's name.
_SCALES: dict[str, tuple[str, Callable[[SampledImage], str]]] = {
    "darkest": ("lowest mean grey level", lambda image: f"{image.brightness:.1f}"),
    "brightest": ("highest mean grey level", lambda image: f"{image.brightness:.1f}"),
    "lowest contrast": ("lowest standard deviation of the grey levels", lambda image: f"{image.contrast:.1f}"),
    "blurriest": ("lowest variance of the Laplacian", lambda image: f"{image.sharpness:,.1f}"),
    "sharpest": ("highest variance of the Laplacian", lambda image: f"{image.sharpness:,.1f}"),
    "lowest entropy": ("of the histogram of grey levels", lambda image: f"{image.entropy:.2f} bits"),
    "smallest": ("fewest pixels", lambda image: f"{image.width:,} x {image.height:,}"),
    "largest": ("most pixels", lambda image: f"{image.width:,} x {image.height:,}"),
}


def render_page(
    account: Account,
    statistics: StatisticsBySplit,
    qualities: Qualities,
    scale: ScaleFindings,
    conflicts: list[LabelConflict],
    samples: Samples,
    thumbnails: dict[bytes, str],
) -> str:
    """Renders HTML that refers to nothing outside itself; the same arguments always give the same text.

    `thumbnails` are data URIs by path; an image without one is shown by its path alone.
    """

    def shown(image: SampledImage, value: str = "") -> dict[str, str]:
        return {
            "path": readable_path(image.path),
            "split": image.split,
            "class": image.class_name,
            "value": value,
            "thumbnail": thumbnails.get(image.path, ""),
        }

    return render_html(
        TEMPLATE,
        account=account,
        splits=list(account.splits),
        counts=_count(account.splits),
        separations=[separation.in_words() for separation in qualities.separations],
        scale_warnings=[warning for warning in (scale.warning, *scale.faults()) if warning],
        measures=[_describe(measure, statistics, qualities.by_class) for measure in MEASURES],
        listed=LISTED,
        outliers=[
            {
                "title": name.capitalize(),
                "meaning": _SCALES[name][0],
                "images": [shown(image, _SCALES[name][1](image)) for image in images],
            }
            for name, images in _ranked(samples.outliers)
        ],
        groups=[
            {"name": group.name, "size": group.size, "images": list(map(shown, group.members))}
            for group in samples.groups
        ],
        overlaps=[list(map(shown, images)) for images in samples.overlaps],
        conflicts=conflicts,
        rejected=_by_reason(account.rejected, account.rejected_by_reason),
        warnings=_by_reason(account.warnings, account.warnings_by_reason),
    )


def _count(images: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    """A row for each class and for all; a cell is a count and its share, None without images."""
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


def _describe(measure: Measure, statistics: StatisticsBySplit, by_class: StatisticsBySplit) -> dict[str, Any]:
    """A measure's table, and its histograms by split and by class in both colour schemes, or its only value."""
    found = {split: of[measure.feature] for split, of in statistics.items() if measure.feature in of}
    values = {bound for split in found.values() for bound in (split.min, split.max)}
    medians = "; ".join(f"{name}: median {split.median:,.{measure.digits}f}" for name, split in found.items())
    return {
        "title": measure.title,
        "unit": measure.unit,
        "charts": draw_histograms(measure, found) if len(values) > 1 else None,
        "alt": f"Histograms of {measure.title.lower()}, {measure.unit}. {medians}",
        "of_classes": _draw_classes(measure, by_class) if len(values) > 1 else None,
        "only_value": f"{values.pop():,.{measure.digits}f}" if len(values) == 1 else None,
        "rows": [(name, list(_cells(split, measure.digits))) for name, split in found.items()],
    }


def _draw_classes(measure: Measure, by_class: StatisticsBySplit) -> dict[str, str] | None:
    found = {name: of[measure.feature] for name, of in list(by_class.items())[:_MOST_CLASSES] if measure.feature in of}
    varies = len({bound for of in found.values() for bound in (of.min, of.max)}) > 1
    return draw_histograms(measure, found) if varies else None


def _cells(found: FeatureStatistics, digits: int) -> Iterator[str]:
    yield f"{found.count:,}"
    yield f"{found.missing:,}"
    yield f"{found.mean:,.{digits + 1}f}"
    yield f"{found.std:,.{digits + 1}f}"
    for value in (found.min, found.median, found.max):
        yield f"{value:,.{digits}f}"
    yield f"{found.zeros:,}"


def _ranked(outliers: dict[str, list[SampledImage]]) -> Iterator[tuple[str, list[SampledImage]]]:
    """The lists that tell images apart: none is small or large if all have one size."""
    sizes = {image.pixels for name in ("smallest", "largest") for image in outliers[name]}
    for name, images in outliers.items():
        if ORDERS[name][0] != "pixels" or len(sizes) > 1:
            yield name, images


def _by_reason(files: list[AccountRow], counts: dict[str, int]) -> list[dict[str, Any]]:
    found = defaultdict(list)
    for file in files:
        found[file.reason].append(file)
    return [
        {"reason": reason, "count": count, "files": found[reason], "more": count - len(found[reason])}
        for reason, count in counts.items()
    ]
