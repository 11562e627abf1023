"""The TFMA metrics: all metrics with intervals, and each missed rule; Beam's workers import them from the package."""

from collections.abc import Mapping
from typing import Any

from tensorflow_model_analysis.metrics.metric_types import (
    DerivedMetricComputation,
    Metric,
    MetricComputation,
    MetricComputations,
    MetricKey,
    SubKey,
)
from tensorflow_model_analysis.proto.config_pb2 import EvalConfig

from components.evaluator.doubtful_labels import FindDoubtfulLabels
from components.evaluator.notable_images import PickNotableImages
from components.evaluator.scored_images import CollectScores, ScoredSlice
from crackgate.config.gate import GateOptions
from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import Outcome
from crackgate.gate.judgement import judge
from crackgate.gate.measurement import measure, measure_against
from crackgate.gate.metrics import Key, bin_reliability, count_confusion, draw_curve
from crackgate.gate.rules import Rule

# TFMA keeps what begins with an underscore to itself.
_SCORED = "_scored_images"


class ReleaseMetrics(Metric):
    """Everything in `metric_names`, per slice and model; the sub key of a metric is its class.

    Changes, McNemar's test, the confusion matrix, curves, notable images and doubtful labels are of the candidate only.
    """

    def __init__(
        self,
        classes: list[str],
        positives: list[int],
        gate: dict[str, Any],
        code_digest: str,
        name: str = "release_metrics",
    ):
        """Constructs the metric.

        Args:
            classes: Class names in label order.
            positives: Labels of the positive classes.
            gate: `GateOptions` as JSON.
            code_digest: Digest of these sources, so that TFX evaluates anew when they change.
            name: For TFMA only; the metrics have names of their own.
        """
        super().__init__(
            _metric_computations,
            name=name,
            classes=classes,
            positives=positives,
            gate=gate,
            code_digest=code_digest,
        )


class MissedRule(Metric):
    """1 when the candidate fails a rule of the gate, else 0; TFMA blesses a model when every one is 0.

    Reports show the same judgement. Without a baseline, no rule on a change is missed.
    """

    def __init__(self, name: str, rule: dict[str, Any], label: int | None):
        """Takes a unique name, a `Rule`'s fields and its class's position (None for all); follows `ReleaseMetrics`."""
        super().__init__(_rule_computations, name=name, rule=rule, label=label)


def _metric_computations(
    name: str,  # noqa: ARG001 - TFMA passes all of the metric's configuration
    classes: list[str],
    positives: list[int],
    gate: dict[str, Any],
    code_digest: str,  # noqa: ARG001
    eval_config: EvalConfig,
) -> MetricComputations:
    options = GateOptions.model_validate(gate)
    candidate, baseline = _model_names(eval_config)
    models = [candidate] if baseline is None else [candidate, baseline]
    scored_key, notable_key = MetricKey(_SCORED), MetricKey(metric_names.NOTABLE_IMAGES, candidate)
    doubtful_key = MetricKey(metric_names.DOUBTFUL_LABELS, candidate)

    def result(metrics: Mapping[MetricKey, Any]) -> dict[MetricKey, Any]:
        found: ScoredSlice = metrics[scored_key]
        scored = found.scored[candidate]
        measured = measure(scored, found.seen[candidate], options)
        computed: dict[MetricKey, Any] = _keyed(measured.metrics, candidate)
        for model in models:
            if (unfamiliar := found.unfamiliar[model]) is not None:
                computed |= _keyed({(metric_names.UNFAMILIAR, None): float(unfamiliar)}, model)
        if measured.samples:
            computed[MetricKey(metric_names.CONFUSION, candidate)] = count_confusion(scored)
            if positives:
                computed[MetricKey(metric_names.CURVE, candidate)] = draw_curve(scored)
                computed[MetricKey(metric_names.RELIABILITY, candidate)] = bin_reliability(scored)
        if baseline is not None:
            before, changes = measure_against(found.scored[baseline], found.seen[baseline], scored, measured, options)
            computed |= _keyed(before, baseline) | _keyed(changes, candidate)
        return computed

    return [
        MetricComputation([scored_key], None, CollectScores(scored_key, models, classes, tuple(positives))),
        MetricComputation([notable_key], None, PickNotableImages(notable_key, candidate, classes)),
        MetricComputation([doubtful_key], None, FindDoubtfulLabels(doubtful_key, candidate, classes)),
        DerivedMetricComputation([MetricKey("metrics")], result),
    ]


def _rule_computations(
    name: str, rule: dict[str, Any], label: int | None, eval_config: EvalConfig
) -> MetricComputations:
    candidate, baseline = _model_names(eval_config)
    key, held = MetricKey(name, candidate), Rule(**rule)

    def result(metrics: Mapping[MetricKey, Any]) -> dict[MetricKey, float]:
        if held.change and baseline is None:
            return {key: 0.0}
        judged = judge(held, label, _of_model(metrics, candidate), _of_model(metrics, baseline or ""))
        return {key: float(judged.outcome == Outcome.FAILED)}

    return [DerivedMetricComputation([key], result)]


def _model_names(eval_config: EvalConfig) -> tuple[str, str | None]:
    """TFMA's names of candidate and baseline; a single model has no name."""
    if len(eval_config.model_specs) == 1:
        return "", None
    (candidate,) = [spec.name for spec in eval_config.model_specs if not spec.is_baseline]
    (baseline,) = [spec.name for spec in eval_config.model_specs if spec.is_baseline]
    return candidate, baseline


def _keyed(metrics: Mapping[Key, float], model: str) -> dict[MetricKey, float]:
    return {
        MetricKey(name, model, sub_key=None if label is None else SubKey(class_id=label)): value
        for (name, label), value in metrics.items()
    }


def _of_model(metrics: Mapping[MetricKey, Any], model: str) -> dict[Key, Any]:
    return {
        (key.name, key.sub_key.class_id if key.sub_key else None): value
        for key, value in metrics.items()
        if key.model_name == model
    }
