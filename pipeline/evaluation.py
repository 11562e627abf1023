"""Reading what the Evaluator found, in the gate's own terms."""

import math
from dataclasses import dataclass, field

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto.metrics_for_slice_pb2 import MetricKey

from pipeline.config import GateOptions
from pipeline.gate import ACCURACY, AUC, BASELINE_NAME, PRECISION, RECALL
from pipeline.summary import Metric

ACCURACY_CHANGE = "accuracy change"


@dataclass(frozen=True)
class Evaluation:
    """The Evaluator's output.

    Attributes:
        metrics: Every gated figure with its threshold.
        baseline_accuracy: None when there was no model to compare with.
        confusion: Test images by actual class, then by predicted class.
    """

    metrics: list[Metric] = field(default_factory=list)
    baseline_accuracy: float | None = None
    confusion: dict[str, dict[str, int]] = field(default_factory=dict)


def read_evaluation(uri: str, classes: list[str], gate: GateOptions) -> Evaluation:
    """Reads an evaluation artifact.

    Args:
        uri: The artifact's folder.
        classes: Class names in label order.
        gate: The thresholds that it was made with.
    """
    (overall,) = tfma.load_metrics(uri)
    values = {
        (pair.key.name, _class_id(pair.key), pair.key.model_name == BASELINE_NAME, pair.key.is_diff): (
            pair.value.double_value.value
        )
        for pair in overall.metric_keys_and_values
    }
    validation = tfma.load_validation_result(uri)
    failed = {
        (failure.metric_key.name, _class_id(failure.metric_key), failure.metric_key.is_diff)
        for piece in validation.metric_validations_per_slice
        for failure in piece.failures
    }

    def row(name: str, label: int | None, threshold: float, is_change: bool = False) -> Metric:
        value = values.get((name, label, False, is_change), math.nan)
        return Metric(
            name=ACCURACY_CHANGE if is_change else name,
            label=None if label is None else classes[label],
            value=value if math.isfinite(value) else None,
            threshold=threshold,
            passed=(name, label, is_change) not in failed,
        )

    metrics = [row(ACCURACY, None, gate.min_accuracy)]
    baseline_accuracy = values.get((ACCURACY, None, True, False))
    if baseline_accuracy is not None:
        metrics.append(row(ACCURACY, None, -gate.max_accuracy_drop, is_change=True))
    for name, threshold in ((AUC, gate.min_auc), (PRECISION, gate.min_precision), (RECALL, gate.min_recall)):
        metrics += [row(name, label, threshold) for label in range(len(classes))]
    return Evaluation(metrics, baseline_accuracy, _read_confusion(uri, classes))


def describe_failures(metrics: list[Metric]) -> list[str]:
    """One sentence for each threshold that was missed."""
    return [
        f"{metric.name}{f' of {metric.label!r}' if metric.label else ''} is "
        f"{'not a number' if metric.value is None else f'{metric.value:.4f}'}, required is {metric.threshold:g} or more"
        for metric in metrics
        if not metric.passed
    ]


def _class_id(key: MetricKey) -> int | None:
    return key.sub_key.class_id.value if key.sub_key.HasField("class_id") else None


def _read_confusion(uri: str, classes: list[str]) -> dict[str, dict[str, int]]:
    counts = {actual: dict.fromkeys(classes, 0) for actual in classes}
    for plots in tfma.load_plots(uri):
        for pair in plots.plot_keys_and_values:
            if pair.key.model_name == BASELINE_NAME:
                continue
            for matrix in pair.value.multi_class_confusion_matrix_at_thresholds.matrices:
                for entry in matrix.entries:
                    actual, predicted = classes[entry.actual_class_id], classes[entry.predicted_class_id]
                    counts[actual][predicted] = round(entry.num_weighted_examples)
    return counts
