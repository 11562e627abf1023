"""The TFMA metrics: all figures with their intervals, and how far a figure falls short of what is required.

The Evaluator names them by this module, so that Beam's workers import them from the installed package.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from tensorflow_model_analysis.metrics.metric_types import (
    DerivedMetricComputation,
    Metric,
    MetricComputation,
    MetricComputations,
    MetricKey,
    SubKey,
)
from tensorflow_model_analysis.proto.config_pb2 import EvalConfig

from components.evaluator.collection import CollectAnswers, Collected
from components.evaluator.notable_images import PickTellingAnswers
from crackgate.contracts import metric_names
from crackgate.gate.intervals import bootstrap, mcnemar_p, percentile_interval, proportion_interval
from crackgate.gate.metrics import Answers, Floats, Key, bin_reliability, compute_figures, count_confusion, draw_curve

# TFMA keeps what begins with an underscore to itself.
_COLLECTED = "_collected_answers"


class ReleaseFigures(Metric):
    """Everything in `names`, per slice and model.

    Changes, McNemar's test, confusion, curves and the answers to look at (see `telling`) are of the candidate only.

    A figure of one class has that class as its sub key. Where any score in a slice is unusable, all its figures are
    NaN: what is no number cannot be averaged away.
    """

    def __init__(
        self,
        classes: list[str],
        positive: int | None,
        slices: dict[str, tuple[str, str, float]],
        confidence: float,
        fixed_precision: float,
        fixed_recall: float,
        code_digest: str,
        name: str = "release_figures",
    ):
        """Constructs the metric.

        Args:
            classes: Class names in label order.
            positive: Label of the positive class, for the curves; None when there is none.
            slices: What `extraction` makes slices of; see there.
            confidence: Of the intervals, 0 to 1, two-sided.
            fixed_precision: Where `recall_at_precision` is read off.
            fixed_recall: Where `precision_at_recall` is read off.
            code_digest: Of these sources, so that TFX evaluates anew when they change.
            name: Only for TFMA; the figures have names of their own.
        """
        super().__init__(
            _figure_computations,
            name=name,
            classes=classes,
            positive=positive,
            slices=slices,
            confidence=confidence,
            fixed_precision=fixed_precision,
            fixed_recall=fixed_recall,
            code_digest=code_digest,
        )


class Shortfall(Metric):
    """How far the candidate falls short of one requirement: 0 or less is enough, NaN is not.

    It is 0 where there is nothing to judge: too few images in the slice (of the class that it is about), no baseline
    for a change, or a model that does not say what it was trained on. Without any image it is NaN. TFMA blesses a model
    when every shortfall is 0 or less.
    """

    def __init__(
        self, name: str, figure: str, label: int | None, at_least: bool, bound: float, relative: bool, min_images: int
    ):
        """Constructs the metric, which has to follow `ReleaseFigures` in the same `EvalConfig`.

        Args:
            name: Unique.
            figure: A name that `ReleaseFigures` gives: `metric_names.RECALL + names.LOW`, for example.
            label: The class that it is about, or None.
            at_least: Whether `bound` is the least allowed; otherwise the most.
            bound: What is required.
            relative: Whether the figure, a change, counts as a share of the baseline's.
            min_images: With fewer in the slice, but any, nothing is judged.
        """
        super().__init__(
            _shortfall_computations,
            name=name,
            figure=figure,
            label=label,
            at_least=at_least,
            bound=bound,
            relative=relative,
            min_images=min_images,
        )


def _figure_computations(
    name: str,  # noqa: ARG001 - TFMA passes all of the metric's configuration
    classes: list[str],
    positive: int | None,
    slices: dict[str, tuple[str, str, float]],  # noqa: ARG001
    confidence: float,
    fixed_precision: float,
    fixed_recall: float,
    code_digest: str,  # noqa: ARG001
    eval_config: EvalConfig,
) -> MetricComputations:
    candidate, baseline = _model_names(eval_config)
    models = [candidate] if baseline is None else [candidate, baseline]
    collected_key, telling_key = MetricKey(_COLLECTED), MetricKey(metric_names.TELLING_ANSWERS, candidate)
    compute = partial(compute_figures, fixed_precision=fixed_precision, fixed_recall=fixed_recall)

    def result(metrics: Mapping[MetricKey, Any]) -> dict[MetricKey, Any]:
        collected: Collected = metrics[collected_key]
        figures: dict[MetricKey, Any] = {}
        samples: dict[str, dict[Key, Floats]] = {}
        for model in models:
            answers = collected.answers[model]
            figures |= _counts(model, answers, len(classes), collected.seen[model])
            if answers.unusable:
                figures |= {_key(key, model): math.nan for key in _all_keys(len(classes))}
                continue
            samples[model] = bootstrap(partial(compute, answers), len(answers.labels))
            estimates = compute(answers, np.ones((1, len(answers.labels))))
            figures |= _with_intervals(model, answers, estimates, samples[model], confidence)
        if candidate in samples:
            figures[MetricKey(metric_names.CONFUSION, candidate)] = count_confusion(collected.answers[candidate])
            if positive is not None:
                figures[MetricKey(metric_names.CURVE, candidate)] = draw_curve(collected.answers[candidate], positive)
                figures[MetricKey(metric_names.RELIABILITY, candidate)] = bin_reliability(
                    collected.answers[candidate], positive
                )
        if baseline is not None:
            figures |= _changes(candidate, baseline, figures, samples, len(classes), confidence)
            figures |= _compared(candidate, collected.answers[candidate], collected.answers[baseline])
        return figures

    return [
        MetricComputation([collected_key], None, CollectAnswers(collected_key, models, classes)),
        MetricComputation([telling_key], None, PickTellingAnswers(telling_key, candidate, classes)),
        DerivedMetricComputation([MetricKey("figures")], result),
    ]


def _shortfall_computations(
    name: str,
    figure: str,
    label: int | None,
    at_least: bool,
    bound: float,
    relative: bool,
    min_images: int,
    eval_config: EvalConfig,
) -> MetricComputations:
    candidate, baseline = _model_names(eval_config)
    key = MetricKey(name, candidate)

    def result(metrics: Mapping[MetricKey, Any]) -> dict[MetricKey, float]:
        images = metrics[_key((metric_names.IMAGES, label), candidate)]
        if not images:
            return {key: math.nan}
        if images < min_images:
            return {key: 0.0}
        value = metrics.get(_key((figure, label), candidate))
        if value is None:
            return {key: 0.0}
        if relative:
            value /= metrics[_key((figure.removesuffix(metric_names.CHANGE), label), baseline)] or math.nan
        return {key: bound - value if at_least else value - bound}

    return [DerivedMetricComputation([key], result)]


def _model_names(eval_config: EvalConfig) -> tuple[str, str | None]:
    """Candidate and baseline as TFMA calls them: a single model has no name."""
    if len(eval_config.model_specs) == 1:
        return "", None
    (candidate,) = [spec.name for spec in eval_config.model_specs if not spec.is_baseline]
    (baseline,) = [spec.name for spec in eval_config.model_specs if spec.is_baseline]
    return candidate, baseline


def _key(key: Key, model: str | None) -> MetricKey:
    name, label = key
    return MetricKey(name, model or "", sub_key=None if label is None else SubKey(class_id=label))


def _all_keys(classes: int) -> list[Key]:
    return [(name, None) for name in metric_names.OVERALL] + [
        (name, label) for label in range(classes) for name in metric_names.PER_CLASS
    ]


def _counts(model: str, answers: Answers, classes: int, seen: int | None) -> dict[MetricKey, float]:
    counts = {
        **{
            _key((metric_names.IMAGES, label), model): float((answers.labels == label).sum())
            for label in range(classes)
        },
        MetricKey(metric_names.IMAGES, model): float(len(answers.labels)),
        MetricKey(metric_names.UNUSABLE_SCORES, model): float(answers.unusable),
    }
    if seen is not None:
        counts[MetricKey(metric_names.SEEN_IN_TRAINING, model)] = float(seen)
    return counts


def _with_intervals(
    model: str, answers: Answers, estimates: dict[Key, Floats], samples: dict[Key, Floats], confidence: float
) -> dict[MetricKey, float]:
    figures = {}
    for (name, label), value in estimates.items():
        if name in metric_names.PROPORTIONS:
            low, high = proportion_interval(*_share(name, label, answers), confidence)
        else:
            low, high = percentile_interval(samples[name, label], confidence)
        figures[_key((name, label), model)] = float(value[0])
        figures[_key((name + metric_names.LOW, label), model)] = low
        figures[_key((name + metric_names.HIGH, label), model)] = high
    return figures


def _share(name: str, label: int | None, answers: Answers) -> tuple[int, int]:
    """How many of how many images a proportion is of."""
    if name == metric_names.ACCURACY:
        of = np.ones(len(answers.labels), bool)
    else:
        of = (answers.labels if name == metric_names.RECALL else answers.decisions) == label
    return int((of & answers.right).sum()), int(of.sum())


def _changes(
    candidate: str,
    baseline: str,
    figures: Mapping[MetricKey, float],
    samples: Mapping[str, Mapping[Key, Floats]],
    classes: int,
    confidence: float,
) -> dict[MetricKey, float]:
    """Differences of the figures; their intervals are of differences on the same drawn images."""
    changes = {}
    for key in _all_keys(classes):
        name, label = key
        change = (name + metric_names.CHANGE, label)
        changes[_key(change, candidate)] = figures[_key(key, candidate)] - figures[_key(key, baseline)]
        if len(samples) == 2:
            low, high = percentile_interval(samples[candidate][key] - samples[baseline][key], confidence)
            changes[_key((change[0] + metric_names.LOW, label), candidate)] = low
            changes[_key((change[0] + metric_names.HIGH, label), candidate)] = high
    return changes


def _compared(candidate: str, one: Answers, other: Answers) -> dict[MetricKey, float]:
    gained, lost = int((one.right & ~other.right).sum()), int((other.right & ~one.right).sum())
    return {
        MetricKey(metric_names.ONLY_CANDIDATE_RIGHT, candidate): float(gained),
        MetricKey(metric_names.ONLY_BASELINE_RIGHT, candidate): float(lost),
        MetricKey(metric_names.MCNEMAR_P, candidate): mcnemar_p(gained, lost),
    }
