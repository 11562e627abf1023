"""Putting `report.html` together."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from crackgate.config.configuration import Config, flatten
from crackgate.contracts import metric_names
from crackgate.contracts.doubtful_label import LISTED, SHOWN
from crackgate.contracts.evaluation import Evaluation, ThresholdPoint, find_metric
from crackgate.contracts.positive_names import say_score
from crackgate.contracts.stored_example import TEST_SPLIT
from crackgate.gate import wording
from crackgate.local_time import say_time
from crackgate.pages.templates import render_html
from crackgate.report import charts
from crackgate.report.content import Report, ReportImages, Training, explained_class

TEMPLATE = Path(__file__).with_name("report.html.jinja")
_SCRIPT = (files(__package__) / "page.js").read_text(encoding="utf-8")
_LABEL_IN_DOUBT = "label in doubt"
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


@dataclass
class _ListedImage:
    """An image that is worth a look, a row of the table; `reasons` say why."""

    path: str
    split: str
    actual: str
    label: str = ""
    score: float | None = None
    unfamiliarity: float | None = None
    reasons: list[str] = field(default_factory=list)


def render_page(report: Report, drawn: dict[str, ReportImages], links: dict[str, str], sheet: str = "") -> str:
    """Renders HTML that loads nothing from outside itself; the same arguments always give the same text.

    An image that is not in `drawn`, by path, is shown by its path alone. Links are relative addresses by name. `sheet`
    is a data URI of augmented training images, or "".
    """
    evaluation = report.run.evaluation or Evaluation()
    key_metrics = _key_metrics(evaluation)
    settings = _settings(report.run.config)
    changed = [row for row in settings if row["default"]]
    points = charts.all_points(evaluation)
    listed = _listed_images(report)
    return render_html(
        TEMPLATE,
        script=_SCRIPT if points or listed else "",
        report=report,
        run=report.run,
        evaluation=evaluation,
        positive_score=say_score(evaluation.positive_classes),
        links=links,
        sections=list(_sections(report, listed)),
        began=say_time(report.run.started),
        model=_say_model(report),
        key_metrics=key_metrics,
        key_names=[wording.say_metric(*key) for key in key_metrics],
        matrix=_matrix(evaluation.confusion),
        curves=list(_curves(evaluation)),
        points=[list(point.model_dump().values()) for point in points],
        own_point=points.index(chosen) if (chosen := charts.chosen_point(evaluation)) in points else len(points) // 2,
        sweep=list(_sweep(evaluation)),
        heat_maps="keras_model" in report.run.outputs,
        image_groups=list(_image_groups(report)),
        listed=listed,
        reasons=list(dict.fromkeys(reason for image in listed for reason in image.reasons)),
        anchors=_anchors(report, listed),
        explained=lambda image: explained_class(image, report.run.positive.names),
        drawn=drawn,
        not_drawn=ReportImages("", "", ""),
        doubts=report.run.doubtful_labels.found[:SHOWN],
        sheet=sheet,
        training=list(_training(report.training)) if report.training else [],
        stages=_say_stages(report.training) if report.training else [],
        settings=settings,
        changed=changed,
        charts=charts,
        wording=wording,
        find_metric=find_metric,
        number=_number,
    )


def _say_model(report: Report) -> str:
    run = report.run
    if run.judges_only:
        return f"judged only, trained elsewhere: {run.outputs['model']}" if "model" in run.outputs else "judged only"
    if run.evaluation is None and "model" not in run.outputs:
        return "none: the run ended before one was trained"
    train = run.config["train"]
    version = f", version {run.pushed_version}" if run.pushed_version else ""
    return f"{train['backbone']}, {train['image_size']} x {train['image_size']} pixels{version}"


def _sections(report: Report, listed: list[_ListedImage]) -> Iterator[str]:
    yield "Gates"
    if report.run.evaluation:
        yield from ("Confusion matrix", "Curves", "Slices")
    if report.notable_images or report.images_missing:
        yield "Images"
    if listed:
        yield "List of images"
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
    curve, threshold, chosen = evaluation.curve, evaluation.threshold, charts.chosen_point(evaluation)
    if not curve:
        return
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


def _sweep(evaluation: Evaluation) -> Iterator[ThresholdPoint]:
    """Points nearest to thresholds in steps, the model's own among them."""
    points = charts.all_points(evaluation)
    steps = [min(points, key=lambda point: abs(point.threshold - step)) for step in _SWEEP] if points else []
    chosen = charts.chosen_point(evaluation)
    own = [] if chosen is None or not points or chosen in steps else [chosen]
    yield from sorted([*steps, *own], key=lambda point: point.threshold)


def _listed_images(report: Report) -> list[_ListedImage]:
    """The images that are worth a look, each once, with all that is notable about it."""
    listed: dict[str, _ListedImage] = {}
    notable = report.notable_images
    for reason, images in notable.listed.items() if notable else ():
        for image in images:
            row = listed.setdefault(
                image.path,
                _ListedImage(
                    image.path,
                    TEST_SPLIT,
                    image.actual,
                    image.label,
                    image.scores.get(image.label),
                    image.unfamiliarity,
                ),
            )
            row.reasons.append(reason)
    for doubt in report.run.doubtful_labels.found[:LISTED]:
        row = listed.setdefault(doubt.path, _ListedImage(doubt.path, doubt.split, doubt.label))
        row.label = row.label or doubt.likely
        row.score = doubt.score if row.score is None else row.score
        row.reasons.append(_LABEL_IN_DOUBT)
    return list(listed.values())


def _anchors(report: Report, listed: list[_ListedImage]) -> dict[str, str]:
    """Identifiers of the pictures that listed images have elsewhere on the page, by path."""
    notable = report.notable_images
    shown = [image.path for images in notable.by_class.values() for image in images] if notable else []
    shown += [doubt.path for doubt in report.run.doubtful_labels.found[:SHOWN]]
    paths = {image.path for image in listed}
    return {path: f"image-{number}" for number, path in enumerate(dict.fromkeys(shown)) if path in paths}


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


def _say_stages(training: Training) -> list[str]:
    """Which stage's weights the model has, and why."""
    head = min(training.head["val_loss"])
    if not training.fine_tune:
        return [f"The head alone was trained, since fine-tuning is turned off. Its lowest loss on eval is {head:.4f}."]
    tuned = training.fine_tune["val_loss"][-1]
    kept, told = ("kept", "did not raise") if training.fine_tune_kept else ("dropped", "raised")
    return [
        f"Loss on eval: {head:.4f} with the head alone, at its best epoch, and {tuned:.4f} after fine-tuning.",
        f"Fine-tuning is {kept}: it {told} the loss of the eval images by more than two standard errors of the "
        "difference, image by image.",
    ]


def _settings(config: dict[str, Any]) -> list[dict[str, str]]:
    """Every field with its value, and its default where that is another."""
    defaults = flatten(Config().model_dump(mode="json", by_alias=True))
    return [
        {
            "field": field,
            "value": json.dumps(value, ensure_ascii=False),
            "default": "" if defaults.get(field) == value else json.dumps(defaults.get(field), ensure_ascii=False),
        }
        for field, value in flatten(config).items()
    ]


def _number(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.4f}"
