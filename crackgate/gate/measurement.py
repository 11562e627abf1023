"""The metrics of models on the same images, with confidence intervals and changes.

`metric_names.LOW` and `HIGH` append to a metric's name for its interval, `CHANGE` for its change.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from crackgate.config.gate import GateOptions
from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import Estimate, MetricValue
from crackgate.contracts.positive_names import POSITIVE
from crackgate.gate.intervals import bootstrap, mcnemar_p, percentile_interval, proportion_interval
from crackgate.gate.metrics import Floats, Key, ScoredImages, compute_metrics, metric_keys


@dataclass(frozen=True)
class Measurement:
    """One model on some images.

    Attributes:
        keys: All metrics; see `metric_keys`.
        metrics: Counts of images, and metrics with their intervals; NaN without intervals if any score is unusable.
        samples: The bootstrap's, float64 (400,) by metric; empty if any score is unusable.
    """

    keys: list[Key]
    metrics: dict[Key, float]
    samples: dict[Key, Floats]


def measure(scored: ScoredImages, seen: int | None, gate: GateOptions) -> Measurement:
    """Measures one model; without an image, all metrics are NaN.

    `seen` counts the images that the model was trained on; None when it does not say.
    """
    metrics = _counts(scored, seen)
    if scored.unusable or not len(scored.labels):
        return Measurement(scored.keys, metrics | dict.fromkeys(scored.keys, math.nan), {})
    compute = partial(compute_metrics, scored, fixed_precision=gate.fixed_precision, fixed_recall=gate.fixed_recall)
    samples = bootstrap(compute, len(scored.labels))
    for (name, label), value in compute(np.ones((1, len(scored.labels)))).items():
        if name in metric_names.PROPORTIONS:
            low, high = proportion_interval(*_share(name, label, scored), gate.confidence)
        else:
            low, high = _around(float(value[0]), percentile_interval(samples[name, label], gate.confidence))
        metrics[name, label] = float(value[0])
        metrics[name + metric_names.LOW, label], metrics[name + metric_names.HIGH, label] = low, high
    return Measurement(scored.keys, metrics, samples)


def measure_changes(candidate: Measurement, baseline: Measurement, gate: GateOptions) -> dict[Key, float]:
    """Differences of all metrics, with intervals from the same drawn images."""
    changes: dict[Key, float] = {}
    for key in candidate.keys:
        name, label = key
        change = name + metric_names.CHANGE
        changes[change, label] = candidate.metrics[key] - baseline.metrics[key]
        if candidate.samples and baseline.samples:
            interval = percentile_interval(candidate.samples[key] - baseline.samples[key], gate.confidence)
            low, high = _around(changes[change, label], interval)
            changes[change + metric_names.LOW, label], changes[change + metric_names.HIGH, label] = low, high
    return changes


def measure_against(
    baseline: ScoredImages, seen: int | None, candidate: ScoredImages, measured: Measurement, gate: GateOptions
) -> tuple[dict[Key, float], dict[Key, float]]:
    """Measures a baseline, and the changes from it, on those images that it scores.

    An older model may refuse some, for instance for their size. `seen` is as for `measure`, `measured` is that of the
    candidate. The baseline's metrics, with the number of images that it does not score, come first.
    """
    scores = baseline.usable
    one, other = baseline.take(scores), candidate.take(scores)
    before = measure(one, seen, gate)
    after = measured if scores.all() else measure(other, None, gate)
    unusable = {(metric_names.UNUSABLE_SCORES, None): float(baseline.unusable)}
    return before.metrics | unusable, measure_changes(after, before, gate) | compare(other, one)


def compare(candidate: ScoredImages, baseline: ScoredImages) -> dict[Key, float]:
    """Counts the images that only one of two models classifies correctly, with McNemar's test."""
    gained = int((candidate.right & ~baseline.right).sum())
    lost = int((baseline.right & ~candidate.right).sum())
    return {
        (metric_names.ONLY_CANDIDATE_RIGHT, None): float(gained),
        (metric_names.ONLY_BASELINE_RIGHT, None): float(lost),
        (metric_names.MCNEMAR_P, None): mcnemar_p(gained, lost),
    }


def read_estimate(metrics: Mapping[Key, float], name: str, label: int | None) -> Estimate:
    """Reads a metric and its interval; None replaces each value that is missing or NaN."""

    def read(end: str) -> float | None:
        value = metrics.get((name + end, label), math.nan)
        return value if math.isfinite(value) else None

    return Estimate(value=read(""), low=read(metric_names.LOW), high=read(metric_names.HIGH))


def read_metrics(
    metrics: Mapping[Key, float], classes: Sequence[str], positive_classes: Sequence[str]
) -> list[MetricValue]:
    """Reads all metrics of `metric_keys`; `classes` are in label order, and `positive_classes` among them.

    A metric that counts false positives is None where all images are of its class, or none is: it could be nothing but
    1 or 0.
    """
    names = [*classes, POSITIVE]

    def read(name: str, label: int | None) -> Estimate:
        # The area under the curve is a number only where there are both.
        one_sided = math.isnan(metrics.get((metric_names.AUC, label), 0))
        if one_sided and name in metric_names.OF_BOTH_SIDES:
            return Estimate(value=None)
        return read_estimate(metrics, name, label)

    return [
        MetricValue(metric=name, label=None if label is None else names[label], **read(name, label).model_dump())
        for name, label in metric_keys(len(classes), tuple(map(classes.index, positive_classes)))
    ]


def _around(value: float, interval: tuple[float, float]) -> tuple[float, float]:
    """The interval, widened to hold its value: the samples of a biased metric, or of next to no errors, may not."""
    # NaN, which compares with nothing, stays.
    return min(interval[0], value), max(interval[1], value)


def _counts(scored: ScoredImages, seen: int | None) -> dict[Key, float]:
    labels = {label for _, label in scored.keys if label is not None}
    counts: dict[Key, float] = {
        (metric_names.IMAGES, label): float(np.isin(scored.labels, scored.members(label)).sum()) for label in labels
    }
    counts[metric_names.IMAGES, None] = float(len(scored.labels))
    counts[metric_names.UNUSABLE_SCORES, None] = float(scored.unusable)
    if seen is not None:
        counts[metric_names.SEEN_IN_TRAINING, None] = float(seen)
    return counts


def _share(name: str, label: int | None, scored: ScoredImages) -> tuple[int, int]:
    """Numerator and denominator of a proportion, in images."""
    if label is None:
        return int(scored.right.sum()), len(scored.labels)
    truth = np.isin(scored.labels, scored.members(label))
    called = np.isin(
        scored.decisions, scored.positives if name == metric_names.POSITIVE_RECALL else scored.members(label)
    )
    return int((truth & called).sum()), int((called if name == metric_names.PRECISION else truth).sum())
