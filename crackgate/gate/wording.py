"""Metrics and requirements in words, the same in tables, reports and messages."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import ALL_IMAGES, Estimate, Evaluation, Outcome, Requirement
from crackgate.plural import counted

NOT_A_NUMBER = "not a number"
# Names that people write differently from the code.
_WRITTEN = {
    metric_names.AUC: "AUC",
    metric_names.PR_AUC: "PR AUC",
    metric_names.F1: "F1",
    metric_names.BRIER: "Brier score",
    metric_names.CALIBRATION_ERROR: "expected calibration error",
    metric_names.SEEN_IN_TRAINING: "seen in training",
    metric_names.UNUSABLE_SCORES: "unusable scores",
}
# The reasons for bounds of 0.
_REASONS = {
    metric_names.SEEN_IN_TRAINING: "because a model proves nothing on images that it was trained on",
    metric_names.UNUSABLE_SCORES: "because no metric can be computed of scores that are not numbers from 0 to 1",
}


def say_metric(metric: str, label: str | None = None) -> str:
    """A metric's name for people: "PR AUC of Positive"."""
    return _WRITTEN.get(metric, metric.replace("_", " ")) + (f" of {label}" if label else "")


def say_estimate(estimate: Estimate | None) -> str:
    """A metric's value, for example "0.9884"; a dash for None."""
    return "\N{EN DASH}" if estimate is None or estimate.value is None else f"{estimate.value:.4f}"


def say_interval(estimate: Estimate | None) -> str:
    """A confidence interval, rounded outward, for example "0.9612 to 0.9971"; "" if there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    low, high = _outward(estimate.low, estimate.high)
    return f"{low:.4f} to {high:.4f}"


def say_subject(row: Requirement) -> str:
    """A requirement's name, without its bound, for example "recall of Positive, dark"."""
    change = {"": "", "absolute": "change of ", "relative": "relative change of "}[row.change]
    return f"{change}{say_metric(*row.key)}{'' if row.slice == ALL_IMAGES else f', {row.slice}'}"


def say_found(row: Requirement) -> str:
    """The judged estimate, either the metric's or its change's."""
    return NOT_A_NUMBER if row.estimate.value is None else _number(row, row.estimate.value)


def say_found_interval(row: Requirement) -> str:
    """The confidence interval of `say_found`; "" if there is none."""
    if row.estimate.low is None or row.estimate.high is None:
        return ""
    low, high = _outward(row.estimate.low, row.estimate.high)
    return f"{_number(row, low)} to {_number(row, high)}"


def say_required(row: Requirement) -> str:
    """The bound, for example "≥ 0.9700"."""
    return f"{'≥' if row.direction == 'at least' else '≤'} {_number(row, row.bound)}"


def say_requirement(row: Requirement) -> str:
    """Requirement, estimate and bound in one sentence, from which the outcome follows."""
    subject = say_subject(row)
    if not row.images:
        of_class = f" of {row.label}" if row.label else ""
        part = "test" if row.slice == ALL_IMAGES else f"the slice {row.slice} of test"
        return f"{subject}: cannot be judged, there is no image{of_class} in {part}; add such images"
    if row.metric in metric_names.COUNTS:
        found = f"{say_found(row)} of {counted(row.images, 'test image')}"
        return f"{subject}: {found}, required {say_required(row)}, {_REASONS[row.metric]}"
    interval = f" ({say_found_interval(row)})" if say_found_interval(row) else ""
    baseline = f" from {say_estimate(row.baseline)}" if row.change else ""
    return (
        f"{subject}: {say_found(row)}{interval}{baseline}, required {say_required(row)} by the {row.judged_by}, "
        f"over {counted(row.images, 'image')}"
    )


def say_failures(evaluation: Evaluation) -> list[str]:
    """One sentence for each failed requirement; if no metric can be computed, only the reason."""
    failed = [row for row in evaluation.requirements if row.outcome == Outcome.FAILED]
    if any(row.metric == metric_names.UNUSABLE_SCORES and row.estimate.value for row in failed):
        failed = [row for row in failed if row.estimate.value is not None]
    return [say_requirement(row) for row in failed]


def _outward(low: float, high: float) -> tuple[float, float]:
    """The ends with the four decimals that are shown: an interval that holds a value also holds the rounded one."""
    # Decimal takes 0.9612 as it is written, and not as the next lower number that the machine has.
    return (
        float(Decimal(repr(low)).quantize(Decimal("0.0001"), ROUND_FLOOR)),
        float(Decimal(repr(high)).quantize(Decimal("0.0001"), ROUND_CEILING)),
    )


def _number(row: Requirement, value: float) -> str:
    if row.metric in metric_names.COUNTS:
        return f"{value:,.0f}"
    # A difference of nearly nothing has no sign.
    if row.change == "relative":
        return f"{value:+z.2%}"
    return f"{value:+z.4f}" if row.change else f"{value:.4f}"
