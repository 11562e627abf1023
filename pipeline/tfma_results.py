"""The Evaluator's output, with the gate's judgement of it."""

from collections.abc import Sequence
from pathlib import Path

from components.evaluator.stored_metrics import StoredSlice, read_slices
from crackgate.contracts import metric_names
from crackgate.contracts.card import find_card
from crackgate.contracts.doubtful_label import DoubtfulLabels
from crackgate.contracts.evaluation import (
    ALL_IMAGES,
    Comparison,
    Evaluation,
    NotableImages,
    ReliabilityBin,
    SliceMetrics,
    ThresholdPoint,
)
from crackgate.gate.judgement import judge
from crackgate.gate.measurement import read_metrics
from crackgate.gate.rules import Rule

# Share of the test images from which on the model and they do not belong together; splits of one data set stay below.
_MANY_UNFAMILIAR = 0.05


def read_evaluation(
    uri: str, model: Path, classes: list[str], positive_classes: Sequence[str], rules: list[Rule]
) -> Evaluation:
    """Reads an evaluation artifact in the folder `uri`, and judges it by the rules of the Evaluator.

    The candidate's SavedModel, `model`, may name the threshold by which it decides.
    """
    slices = read_slices(uri)
    overall = slices[ALL_IMAGES]
    notable = overall.texts.get(metric_names.NOTABLE_IMAGES)
    doubtful = overall.texts.get(metric_names.DOUBTFUL_LABELS)
    requirements = []
    for rule in rules:
        if not rule.change or overall.baseline:
            part = slices.get(rule.slice, StoredSlice(rule.slice))
            requirements.append(judge(rule, rule.position(classes), part.metrics, part.baseline))
    card = find_card(model)
    unfamiliar = overall.metrics.get((metric_names.UNFAMILIAR, None))
    return Evaluation(
        positive_classes=tuple(positive_classes),
        threshold=None if card is None else card.threshold,
        requirements=requirements,
        unfamiliar=None if unfamiliar is None else round(unfamiliar),
        warnings=_find_warnings(overall),
        slices=[
            _slice_metrics(slices[name], classes, positive_classes)
            for name in sorted(slices, key=_order)
            if slices[name].metrics
        ],
        confusion=_read_confusion(overall, classes),
        comparison=_read_comparison(overall),
        curve=[
            ThresholdPoint(**dict(zip(ThresholdPoint.model_fields, row, strict=True)))
            for row in overall.tables.get(metric_names.CURVE, [])
        ],
        reliability=[
            ReliabilityBin(mean_score=score, share_positive=share, images=round(images))
            for score, share, images in overall.tables.get(metric_names.RELIABILITY, [])
        ],
        notable_images=NotableImages.model_validate_json(notable) if notable else None,
        doubtful_labels=DoubtfulLabels.model_validate_json(doubtful) if doubtful else DoubtfulLabels(),
    )


def _order(name: str) -> tuple[bool, bool, str]:
    return name != ALL_IMAGES, name in metric_names.QUALITY_SLICES, name


def _slice_metrics(part: StoredSlice, classes: list[str], positive_classes: Sequence[str]) -> SliceMetrics:
    return SliceMetrics(
        name=part.name,
        images=round(part.metrics.get((metric_names.IMAGES, None), 0)),
        metrics=read_metrics(part.metrics, classes, positive_classes),
        baseline=read_metrics(part.baseline, classes, positive_classes) if part.baseline else [],
    )


def _read_confusion(overall: StoredSlice, classes: list[str]) -> dict[str, dict[str, int]]:
    """Without the column for labels that are no class, where there are none."""
    table = overall.tables.get(metric_names.CONFUSION, [])
    given = [*classes, ""] if any(row[-1] for row in table) else classes
    return {
        actual: {label: round(count) for label, count in zip(given, row, strict=False)}
        for actual, row in zip(classes, table, strict=False)
    }


def _read_comparison(overall: StoredSlice) -> Comparison | None:
    if not overall.baseline:
        return None
    return Comparison(
        only_candidate_right=round(overall.metrics[metric_names.ONLY_CANDIDATE_RIGHT, None]),
        only_baseline_right=round(overall.metrics[metric_names.ONLY_BASELINE_RIGHT, None]),
        p_value=overall.metrics[metric_names.MCNEMAR_P, None],
    )


def _find_warnings(overall: StoredSlice) -> list[str]:
    found = []
    images = round(overall.metrics.get((metric_names.IMAGES, None), 0))
    if images and (metric_names.SEEN_IN_TRAINING, None) not in overall.metrics:
        found.append(
            "the model does not say which images it was trained on: whether it has seen test images before is not known"
        )
    if unusable := overall.baseline.get((metric_names.UNUSABLE_SCORES, None)):
        found.append(
            f"the model in production gives {round(unusable)} of the {images} test images no scores, for instance for "
            "their size: both models are compared on the others alone"
        )
    unfamiliar = overall.metrics.get((metric_names.UNFAMILIAR, None), 0)
    if unfamiliar > _MANY_UNFAMILIAR * images:
        found.append(
            f"the model finds {round(unfamiliar)} of the {images} test images unlike its training images: its metrics "
            "on them may be chance"
        )
    seen = overall.baseline.get((metric_names.SEEN_IN_TRAINING, None))
    if overall.baseline and seen is None:
        found.append(
            "the model in production does not say which images it was trained on: the comparison may favour it"
        )
    elif seen:
        found.append(
            f"the model in production was trained on {round(seen)} of the {images} test images: the comparison "
            "favours it"
        )
    return found
