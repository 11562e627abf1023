"""Putting `report.html` together."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crackgate.config.configuration import Config
from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import (
    Evaluation,
    NotableImage,
    Requirement,
    SliceMetrics,
    ThresholdPoint,
    find_metric,
)
from crackgate.gate.wording import (
    say_estimate,
    say_found,
    say_found_interval,
    say_interval,
    say_metric,
    say_required,
    say_subject,
)
from crackgate.pages.html import html_environment
from crackgate.report import charts
from crackgate.report.content import Pictures, Report, Training

TEMPLATE_FILE = "report.html.jinja"
# Shown first, and of each slice; those of one class of the positive one.
_KEY_METRICS = (
    metric_names.RECALL,
    metric_names.PRECISION,
    metric_names.AUC,
    metric_names.ACCURACY,
    metric_names.BALANCED_ACCURACY,
)
_SWEEP = [step / 10 for step in range(1, 10)]

# Title, drawing in both colour schemes, alternative text.
Chart = tuple[str, dict[str, str], str]


def render_page(report: Report, pictures: dict[str, Pictures], links: dict[str, str]) -> str:
    """Renders the page: the same arguments always give the same text.

    Args:
        report: What it says.
        pictures: By path; an image without any is shown by its path alone.
        links: Relative addresses of what lies beside it, by name.

    Returns:
        HTML that loads nothing from outside itself.
    """
    evaluation = report.run.evaluation
    training = list(_training(report.training)) if report.training else []
    settings = _settings(report.run.config)
    return (
        html_environment(Path(__file__).parent)
        .get_template(TEMPLATE_FILE)
        .render(
            report=report,
            run=report.run,
            links=links,
            sections=list(_sections(report)),
            key_metrics=list(_key_metrics(evaluation)) if evaluation else [],
            requirements=[_requirement(row) for row in evaluation.requirements] if evaluation else [],
            matrix=_matrix(evaluation.confusion) if evaluation else [],
            matrix_is_at_threshold=evaluation is not None and evaluation.threshold is not None,
            curves=list(_curves(evaluation)) if evaluation else [],
            sweep=list(_sweep(evaluation)) if evaluation else [],
            overview=_overview(evaluation) if evaluation else {},
            slices=[_slice(row) for row in evaluation.slices] if evaluation else [],
            heat_maps="keras_model" in report.run.outputs,
            image_groups=list(_image_groups(report, pictures)),
            training=training,
            settings=settings,
            changed=sum(bool(row["default"]) for row in settings),
        )
    )


def _sections(report: Report) -> Iterator[str]:
    yield "Gates"
    if report.run.evaluation:
        yield from ("Confusion matrix", "Curves", "Slices")
    if report.notable_images or report.images_missing:
        yield "Images"
    if report.training:
        yield "Training"
    yield from ("Data", "Run", "Versions")


def _key_metrics(evaluation: Evaluation) -> Iterator[tuple[str, str, str]]:
    for metric, label in _key_names(evaluation):
        value = find_metric(evaluation.slices[0].metrics, metric, label)
        yield say_metric(metric, label), say_estimate(value), say_interval(value)
    if evaluation.slices:
        yield "test images", f"{evaluation.slices[0].images:,}", ""


def _requirement(row: Requirement) -> dict[str, Any]:
    return {
        "name": say_subject(row),
        "value": say_found(row),
        "interval": say_found_interval(row),
        "bound": say_required(row),
        "judged_by": row.judged_by,
        "baseline": say_estimate(row.baseline),
        "images": row.images,
        "outcome": row.outcome,
    }


def _matrix(confusion: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    rows = []
    for name, counts in confusion.items():
        whole = sum(counts.values())
        cells = [
            {"label": label or "no class", "count": count, "share": count / whole if whole else 0.0}
            for label, count in counts.items()
        ]
        rows.append({"name": name, "cells": cells})
    return rows


def _curves(evaluation: Evaluation) -> Iterator[Chart]:
    curve, threshold = evaluation.curve, evaluation.threshold
    if not curve:
        return
    chosen = charts.chosen_point(curve, threshold) if threshold is not None else None
    at = f" At the threshold of {threshold:.4f}: {_say_point(chosen)}." if chosen else ""
    yield (
        "Precision and recall",
        charts.draw_precision_recall(curve, chosen),
        f"Precision over recall.{at}",
    )
    yield "ROC", charts.draw_roc(curve, chosen), f"Recall over false positive rate.{at}"
    yield (
        "Threshold sweep",
        charts.draw_sweep(curve, threshold),
        f"Precision, recall and F1 over the threshold.{at}",
    )
    if evaluation.reliability:
        bins = "; ".join(
            f"score {row.mean_score:.2f}: {row.share_positive:.2f} of {row.images:,}"
            for row in evaluation.reliability
            if row.images
        )
        yield "Reliability", charts.draw_reliability(evaluation.reliability), f"Share of positive images. {bins}."


def _say_point(point: ThresholdPoint) -> str:
    return f"precision {_number(charts.precision(point))}, recall {_number(charts.recall(point))}"


def _sweep(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    if not evaluation.curve:
        return
    chosen = evaluation.threshold
    for threshold in sorted({*_SWEEP, *([chosen] if chosen is not None else [])}):
        point = charts.chosen_point(evaluation.curve, threshold)
        yield {
            "threshold": f"{threshold:.4f}",
            "chosen": threshold == chosen,
            "precision": _number(charts.precision(point)),
            "recall": _number(charts.recall(point)),
            "f1": _number(charts.f1(point)),
            "false_positives": f"{point.false_positives:,.0f}",
            "false_negatives": f"{point.false_negatives:,.0f}",
        }


def _slice(slice_: SliceMetrics) -> dict[str, Any]:
    return {
        "name": slice_.name,
        "images": slice_.images,
        "rows": [
            {
                "name": say_metric(value.metric, value.label),
                "value": say_estimate(value),
                "interval": say_interval(value),
                "baseline": say_estimate(find_metric(slice_.baseline, value.metric, value.label)),
            }
            for value in slice_.metrics
        ],
    }


def _overview(evaluation: Evaluation) -> dict[str, Any]:
    """The key metrics of every slice, one beside the other."""
    keys = _key_names(evaluation)
    rows = []
    for slice_ in evaluation.slices:
        values = [find_metric(slice_.metrics, *key) for key in keys]
        cells = [(say_estimate(value), say_interval(value)) for value in values]
        rows.append({"name": slice_.name, "images": slice_.images, "cells": cells})
    return {"metrics": [say_metric(*key) for key in keys], "rows": rows}


def _key_names(evaluation: Evaluation) -> list[tuple[str, str | None]]:
    known = {value.key for value in evaluation.slices[0].metrics} if evaluation.slices else set()
    wanted = [(name, evaluation.positive_class if name in metric_names.PER_CLASS else None) for name in _KEY_METRICS]
    return [key for key in wanted if key in known]


def _image_groups(report: Report, pictures: dict[str, Pictures]) -> Iterator[dict[str, Any]]:
    if report.notable_images is None:
        return
    evaluation = report.run.evaluation
    positive = evaluation.positive_class if evaluation else None
    for name, images in report.notable_images.by_class.items():
        others = [other for other in report.notable_images.by_class if other != name]
        title = f"{name} taken for {others[0] if len(others) == 1 else 'another class'}"
        if report.notable_images.shown == "least certain":
            title = f"{name}, classified correctly but barely"
        elif positive is not None:
            title = f"False {'negatives' if name == positive else 'positives'}: {title}"
        yield {"name": name, "title": title, "images": [_image(image, pictures) for image in images]}


def _image(image: NotableImage, pictures: dict[str, Pictures]) -> dict[str, Any]:
    return {
        "path": image.path,
        "label": image.label,
        "score": _number(image.scores.get(image.label)),
        "own_score": _number(image.scores[image.actual]),
        "pictures": pictures.get(image.path, Pictures("", "")),
    }


def _training(training: Training) -> Iterator[Chart]:
    for measure in ("loss", "accuracy"):
        last = {**training.head, **training.fine_tune}
        ends = ", ".join(
            f"{name} {last[prefix + measure][-1]:.4f}" for name, prefix in (("train", ""), ("eval", "val_"))
        )
        yield measure.capitalize(), charts.draw_training(training, measure), f"{measure} per epoch; at the end {ends}."


def _settings(config: dict[str, Any]) -> list[dict[str, str]]:
    """Every field with its value, and its default where that is another."""
    defaults = dict(_flat(Config().model_dump(mode="json", by_alias=True)))
    return [
        {
            "field": field,
            "value": json.dumps(value, ensure_ascii=False),
            "default": "" if defaults.get(field) == value else json.dumps(defaults.get(field), ensure_ascii=False),
        }
        for field, value in _flat(config)
    ]


def _flat(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _number(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.4f}"
