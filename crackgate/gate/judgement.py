"""The one judgement: it holds a rule against measured metrics."""

from collections.abc import Mapping

from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import Estimate, Outcome, Requirement
from crackgate.gate.measurement import read_estimate
from crackgate.gate.metrics import Key
from crackgate.gate.rules import Rule

# 1 - 0.9 is a little less than 0.1.
_ROUNDING = 1e-9


def judge(
    rule: Rule, label: int | None, metrics: Mapping[Key, float], baseline: Mapping[Key, float] | None = None
) -> Requirement:
    """Judges a model by one rule; `label` is the position of the rule's class, None for all classes.

    Args:
        metrics: The candidate's over the rule's slice, from `measurement`; empty when the slice has no image.
        baseline: The same of the other model; only rules on changes need it.

    Returns:
        FAILED without an image or a value, or on the wrong side of the bound. WARNED with too few images, when the
        other model scores too few of them to compare with, or when the model does not say which images it was trained
        on.
    """
    baseline = baseline or {}
    images = round(metrics.get((metric_names.IMAGES, label), 0))
    estimate, before = read_estimate(metrics, rule.measured, label), None
    outcome = None
    if rule.change:
        before = read_estimate(baseline, rule.metric, label)
        if images and before.value is None and baseline.get((metric_names.UNUSABLE_SCORES, None)):
            outcome = Outcome.WARNED
        images = round(baseline.get((metric_names.IMAGES, label), images))
    if before and rule.change == "relative":
        known = estimate.value is not None and before.value
        estimate = Estimate(value=estimate.value / before.value if known else None)  # type: ignore[operator]
    return Requirement(
        metric=rule.metric,
        label=rule.label,
        slice=rule.slice,
        images=images,
        estimate=estimate,
        baseline=before,
        change=rule.change,
        bound=rule.bound,
        direction=rule.direction,
        judged_by=rule.judged_by,
        outcome=outcome or _outcome(rule, images, estimate),
    )


def _outcome(rule: Rule, images: int, estimate: Estimate) -> Outcome:
    if not images:
        return Outcome.FAILED
    if images < rule.min_images or (rule.metric == metric_names.SEEN_IN_TRAINING and estimate.value is None):
        return Outcome.WARNED
    value = {"estimate": estimate.value, "lower bound": estimate.low, "upper bound": estimate.high}[rule.judged_by]
    if value is None:
        return Outcome.FAILED
    short = rule.bound - value if rule.direction == "at least" else value - rule.bound
    return Outcome.PASSED if short <= _ROUNDING else Outcome.FAILED
