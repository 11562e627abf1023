"""Whether a refused model ranks the images well enough, and only its threshold lies wrong."""

from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import ALL_IMAGES, Evaluation, Outcome, Requirement, ThresholdPoint

_OF_THE_DECISION = (
    metric_names.ACCURACY,
    metric_names.BALANCED_ACCURACY,
    metric_names.PRECISION,
    metric_names.RECALL,
    metric_names.F1,
)


def say_threshold_fault(evaluation: Evaluation) -> str | None:
    """A sentence with a threshold at which the model would have met all requirements; None if there is none.

    It takes that only requirements on the decision failed, over all test images, and that the two sides of the
    threshold tell whether they hold: of three classes they do not tell the accuracy. The interval of a metric that is
    judged by its bound is taken to be as wide as it is.
    """
    rows = [row for row in evaluation.requirements if row.outcome != Outcome.WARNED]
    failed = [row for row in rows if row.outcome == Outcome.FAILED]
    judged = [row for row in rows if row.metric in _OF_THE_DECISION and row.slice == ALL_IMAGES]
    if not failed or any(row not in judged for row in failed) or evaluation.threshold is None:
        return None
    better = [
        point
        for point in evaluation.curve
        if all(_holds(row, point, evaluation) is not False for row in judged)
        and all(_holds(row, point, evaluation) for row in failed)
    ]
    if not better:
        return None
    best = max(better, key=lambda point: point.true_positives + point.true_negatives)
    return (
        f"the ranking is fine, the threshold is not: at {best.threshold:.4f} instead of {evaluation.threshold:.4f} the "
        "model would meet these requirements; the threshold was chosen on eval: check the labels there and train again"
    )


def _holds(row: Requirement, point: ThresholdPoint, evaluation: Evaluation) -> bool | None:
    """Whether a requirement would hold at a threshold; None where the two sides do not tell."""
    value, estimate = _value(row, point, evaluation), row.estimate
    ends = {"estimate": estimate.value, "lower bound": estimate.low, "upper bound": estimate.high}
    end = ends[row.judged_by]
    if value is None or estimate.value is None or end is None:
        return None
    if row.change:
        if row.baseline is None or not row.baseline.value:
            return None
        value = (value - row.baseline.value) / (row.baseline.value if row.change == "relative" else 1)
    value += end - estimate.value
    return value >= row.bound if row.direction == "at least" else value <= row.bound


def _value(row: Requirement, point: ThresholdPoint, evaluation: Evaluation) -> float | None:
    """The metric at a threshold; None where the two sides do not tell, or nothing is on one of them."""
    hits, wrong, missed = point.true_positives, point.false_positives, point.false_negatives
    rejected = point.true_negatives
    two_classes = len(evaluation.confusion) == 2
    if row.label is not None and row.label != evaluation.positive:
        if not two_classes:
            return None
        hits, rejected, wrong, missed = rejected, hits, missed, wrong
    elif row.label is None and not two_classes:
        return None
    shares = {
        metric_names.ACCURACY: (hits + rejected, hits + rejected + wrong + missed),
        metric_names.PRECISION: (hits, hits + wrong),
        metric_names.RECALL: (hits, hits + missed),
        metric_names.F1: (2 * hits, 2 * hits + wrong + missed),
    }
    if row.metric == metric_names.BALANCED_ACCURACY:
        sides = (hits, hits + missed), (rejected, rejected + wrong)
        return sum(share / whole for share, whole in sides) / 2 if all(whole for _, whole in sides) else None
    share, whole = shares[row.metric]
    return share / whole if whole else None
