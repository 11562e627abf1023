"""Reading what the Evaluator found, in the gate's own terms."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto.metrics_for_slice_pb2 import ArrayValue, MetricsForSlice
from tensorflow_model_analysis.slicer.slicer_lib import deserialize_slice_key

from crackgate.contracts import metric_names
from crackgate.contracts.card import find_card
from crackgate.contracts.evaluation import (
    ALL_IMAGES,
    Answers,
    Comparison,
    Evaluation,
    Figure,
    Outcome,
    ReliabilityBin,
    Requirement,
    SliceFigures,
    ThresholdPoint,
)
from crackgate.gate.rules import Rule

# The name that TFMA gives to the model in service when it compares two.
BASELINE_NAME = "baseline"


def read_evaluation(uri: str, model: Path, classes: list[str], positive: str | None, rules: list[Rule]) -> Evaluation:
    """Reads an evaluation artifact, and holds the gate's rules beside it.

    Args:
        uri: The artifact's folder.
        model: The candidate's SavedModel, which may say by which threshold it decides.
        classes: Class names in label order.
        positive: The positive class, or None.
        rules: The gate that it was made with.
    """
    slices = {part.name: part for part in map(_read_slice, tfma.load_metrics(uri))}
    overall = slices.get(ALL_IMAGES, _Slice(ALL_IMAGES, {}, {}, {}, {}))
    failures = _failures(uri)
    requirements = [_judge(rule, slices, classes, failures) for rule in rules if not rule.change or overall.other]
    card = find_card(model)
    return Evaluation(
        positive_class=positive,
        threshold=None if card is None else card.threshold,
        requirements=requirements,
        warnings=_find_warnings(overall),
        slices=[_figures(slices[name], classes) for name in sorted(slices, key=_order)],
        confusion=_read_confusion(overall, classes),
        comparison=_read_comparison(overall),
        curve=[
            ThresholdPoint(**dict(zip(ThresholdPoint.model_fields, row, strict=True)))
            for row in overall.table(metric_names.CURVE)
        ],
        reliability=[
            ReliabilityBin(mean_score=score, share_positive=share, images=round(images))
            for score, share, images in overall.table(metric_names.RELIABILITY)
        ],
        answers=Answers.model_validate_json(overall.texts[metric_names.TELLING_ANSWERS]) if overall.texts else None,
    )


@dataclass(frozen=True)
class _Slice:
    """A slice's numbers by metric and class: of the candidate and of the baseline; the candidate's tables and texts."""

    name: str
    own: dict[tuple[str, int | None], float]
    other: dict[tuple[str, int | None], float]
    tables: dict[str, list[list[float]]]
    texts: dict[str, bytes]

    def images(self, label: int | None = None) -> int:
        return round(self.own.get((metric_names.IMAGES, label), 0))

    def figure(self, name: str, label: int | None, of_baseline: bool = False) -> Figure:
        values = self.other if of_baseline else self.own
        value, low, high = (
            values.get((name + end, label), math.nan) for end in ("", metric_names.LOW, metric_names.HIGH)
        )
        return Figure(value=_finite(value), low=_finite(low), high=_finite(high))

    def table(self, name: str) -> list[list[float]]:
        return self.tables.get(name, [])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _read_slice(stored: MetricsForSlice) -> _Slice:
    part = _Slice(_slice_name(stored), {}, {}, {}, {})
    for pair in stored.metric_keys_and_values:
        if pair.key.is_diff:  # TFMA's own; the differences with intervals have names of their own
            continue
        if pair.value.HasField("array_value"):
            part.tables[pair.key.name] = _rows(pair.value.array_value)
        elif pair.value.HasField("bytes_value"):
            part.texts[pair.key.name] = pair.value.bytes_value
        else:
            label = pair.key.sub_key.class_id.value if pair.key.sub_key.HasField("class_id") else None
            values = part.other if pair.key.model_name == BASELINE_NAME else part.own
            values[pair.key.name, label] = pair.value.double_value.value
    return part


def _slice_name(stored: MetricsForSlice) -> str:
    key = deserialize_slice_key(stored.slice_key)
    return str(key[0][1]) if key else ALL_IMAGES


def _rows(stored: ArrayValue) -> list[list[float]]:
    values = stored.float64_values or stored.int64_values
    rows: list[list[float]] = np.array(values).reshape(tuple(stored.shape)).tolist()
    return rows


def _failures(uri: str) -> set[tuple[str, str]]:
    """Rule and slice of what TFMA found too short."""
    validation = tfma.load_validation_result(uri)
    return {
        (failure.metric_key.name, _slice_name(part))
        for part in validation.metric_validations_per_slice
        for failure in part.failures
    }


def _judge(rule: Rule, slices: dict[str, _Slice], classes: list[str], failures: set[tuple[str, str]]) -> Requirement:
    part = slices.get(rule.slice, _Slice(rule.slice, {}, {}, {}, {}))
    label = None if rule.label is None else classes.index(rule.label)
    figure = part.figure(rule.metric + (metric_names.CHANGE if rule.change else ""), label)
    baseline = part.figure(rule.metric, label, of_baseline=True) if rule.change else None
    if rule.change == "relative":
        known = figure.value is not None and baseline is not None and baseline.value
        figure = Figure(value=figure.value / baseline.value if known else None)  # type: ignore[operator, union-attr]
    images = part.images(label)
    # An empty slice has nothing that TFMA could have judged, and then it blesses nothing.
    if not images or (rule.name, rule.slice) in failures:
        outcome = Outcome.FAILED
    elif images < rule.min_images or (rule.metric == metric_names.SEEN_IN_TRAINING and figure.value is None):
        outcome = Outcome.WARNED
    else:
        outcome = Outcome.PASSED
    return Requirement(
        metric=rule.metric,
        label=rule.label,
        slice=rule.slice,
        images=images,
        figure=figure,
        baseline=baseline,
        change=rule.change,
        bound=rule.bound,
        direction=rule.direction,
        judged_by=rule.judged_by,
        outcome=outcome,
    )


def _order(name: str) -> tuple[bool, bool, str]:
    return name != ALL_IMAGES, name in metric_names.QUALITY_SLICES, name


def _figures(part: _Slice, classes: list[str]) -> SliceFigures:
    keys: list[tuple[str, int | None]] = [(name, None) for name in metric_names.OVERALL]
    keys += [(name, label) for label in range(len(classes)) for name in metric_names.PER_CLASS]

    def by_name(of_baseline: bool) -> dict[str, Figure]:
        return {
            name if label is None else f"{name} of {classes[label]}": part.figure(name, label, of_baseline)
            for name, label in keys
        }

    return SliceFigures(
        name=part.name,
        images=part.images(),
        figures=by_name(of_baseline=False),
        baseline=by_name(of_baseline=True) if part.other else {},
    )


def _read_confusion(overall: _Slice, classes: list[str]) -> dict[str, dict[str, int]]:
    """Without the column for labels that are no class, where there are none."""
    table = overall.table(metric_names.CONFUSION)
    given = [*classes, ""] if any(row[-1] for row in table) else classes
    return {
        actual: {label: round(count) for label, count in zip(given, row, strict=False)}
        for actual, row in zip(classes, table, strict=False)
    }


def _read_comparison(overall: _Slice) -> Comparison | None:
    if not overall.other:
        return None
    return Comparison(
        only_candidate_right=round(overall.own[metric_names.ONLY_CANDIDATE_RIGHT, None]),
        only_baseline_right=round(overall.own[metric_names.ONLY_BASELINE_RIGHT, None]),
        p_value=overall.own[metric_names.MCNEMAR_P, None],
    )


def _find_warnings(overall: _Slice) -> list[str]:
    found = []
    if overall.images() and (metric_names.SEEN_IN_TRAINING, None) not in overall.own:
        found.append(
            "the model does not say which images it was trained on: whether it has seen test images before is not known"
        )
    if unusable := overall.other.get((metric_names.UNUSABLE_SCORES, None)):
        found.append(
            f"the model in service gives {round(unusable)} of the {overall.images()} test images scores that are not "
            "numbers from 0 to 1, so that nothing can be compared with it"
        )
    seen = overall.other.get((metric_names.SEEN_IN_TRAINING, None))
    if overall.other and seen is None:
        found.append("the model in service does not say which images it was trained on: the comparison may favour it")
    elif seen:
        found.append(
            f"the model in service was trained on {round(seen)} of the {overall.images()} test images: the comparison "
            "favours it"
        )
    return found
