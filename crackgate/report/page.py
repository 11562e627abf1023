"""Putting `report.html` together."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crackgate.config.configuration import Config
from crackgate.contracts import metric_names
from crackgate.contracts.doubtful_label import SHOWN
from crackgate.contracts.evaluation import Evaluation, ThresholdPoint, find_metric
from crackgate.contracts.positive_names import say_score
from crackgate.gate import wording
from crackgate.pages.templates import render_html
from crackgate.report import charts
from crackgate.report.content import Report, ReportImages, Training, explained_class

TEMPLATE = Path(__file__).with_name("report.html.jinja")
# Shown first, and of each slice; those of one class of the positive ones.
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


def render_page(report: Report, drawn: dict[str, ReportImages], links: dict[str, str], sheet: str = "") -> str:
    """Renders HTML that loads nothing from outside itself; the same arguments always give the same text.

    An image that is not in `drawn`, by path, is shown by its path alone. Links are relative addresses by name. `sheet`
    is a data URI of augmented training images, or "".
    """
    evaluation = report.run.evaluation or Evaluation()
    key_metrics = _key_metrics(evaluation)
    settings = _settings(report.run.config)
    return render_html(
        TEMPLATE,
        report=report,
        run=report.run,
        evaluation=evaluation,
        positive_score=say_score(evaluation.positive_classes),
        links=links,
        sections=list(_sections(report)),
        key_metrics=key_metrics,
        key_names=[wording.say_metric(*key) for key in key_metrics],
        matrix=_matrix(evaluation.confusion),
        curves=list(_curves(evaluation)),
        sweep=list(_sweep(evaluation)),
        heat_maps="keras_model" in report.run.outputs,
        image_groups=list(_image_groups(report)),
        explained=lambda image: explained_class(image, report.run.positive.names),
        drawn=drawn,
        not_drawn=ReportImages("", ""),
        doubts=report.run.doubtful_labels.found[:SHOWN],
        sheet=sheet,
        training=list(_training(report.training)) if report.training else [],
        settings=settings,
        changed=sum(bool(row["default"]) for row in settings),
        charts=charts,
        wording=wording,
        find_metric=find_metric,
        number=_number,
    )


def _sections(report: Report) -> Iterator[str]:
    yield "Gates"
    if report.run.evaluation:
        yield from ("Confusion matrix", "Curves", "Slices")
    if report.notable_images or report.images_missing:
        yield "Images"
    if report.run.doubtful_labels.found or report.label_list:
        yield "Labels to check"
    if report.training:
        yield "Training"
    yield from ("Data", "Run", "Versions")


def _key_metrics(evaluation: Evaluation) -> list[tuple[str, str | None]]:
    known = {value.key for value in evaluation.slices[0].metrics} if evaluation.slices else set()
    wanted = [(name, evaluation.positive if name in metric_names.PER_CLASS else None) for name in _KEY_METRICS]
    wanted[1:1] = [(metric_names.POSITIVE_RECALL, name) for name in evaluation.positive_classes]
    return [key for key in wanted if key in known]


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


def _sweep(evaluation: Evaluation) -> Iterator[tuple[float, ThresholdPoint]]:
    """Thresholds in steps, the model's own among them, with their counts."""
    if evaluation.curve:
        own = [] if evaluation.threshold is None else [evaluation.threshold]
        for threshold in sorted({*_SWEEP, *own}):
            yield threshold, charts.chosen_point(evaluation.curve, threshold)


def _image_groups(report: Report) -> Iterator[dict[str, Any]]:
    if report.notable_images is None:
        return
    evaluation = report.run.evaluation
    positives = evaluation.positive_classes if evaluation else ()
    for name, images in report.notable_images.by_class.items():
        others = [other for other in report.notable_images.by_class if other != name]
        title = f"{name} taken for {others[0] if len(others) == 1 else 'another class'}"
        if report.notable_images.shown == "least certain":
            title = f"{name}, classified correctly but barely"
        elif positives and all((image.label in positives) != (name in positives) for image in images):
            title = f"False {'negatives' if name in positives else 'positives'}: {title}"
        yield {"name": name, "title": title, "images": images}


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
