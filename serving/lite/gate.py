"""The gate's rules, held against a converted network, with the model that it was converted from as the baseline."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import ALL_IMAGES
from crackgate.gate.metrics import Key
from crackgate.gate.rules import Rule

# 1 - 0.9 is a little less than 0.1.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Requirement:
    """One rule and how it ended.

    Attributes:
        rule: What is required.
        value: What is held against the bound; NaN where it is no number.
        met: Whether that suffices.
    """

    rule: Rule
    value: float
    met: bool


def applicable(rules: Sequence[Rule]) -> list[Rule]:
    """Those about all images; whether they were seen in training is the model's matter, and not its conversion's."""
    return [rule for rule in rules if rule.slice == ALL_IMAGES and rule.metric != metric_names.SEEN_IN_TRAINING]


def check(
    rules: Sequence[Rule], figures: Mapping[Key, float], baseline: Mapping[Key, float], classes: Sequence[str]
) -> list[Requirement]:
    """Judges by every rule.

    Args:
        rules: See `applicable`.
        figures: Of the converted network.
        baseline: Of the model, on the same images.
        classes: Names in label order.
    """
    return list(_check(rules, figures, baseline, classes))


def describe(requirement: Requirement) -> str:
    """Says what was required and what was found."""
    rule = requirement.rule
    subject = rule.metric.replace("_", " ") + (f" of {rule.label!r}" if rule.label else "")
    if rule.change:
        subject = f"{rule.change} change of {subject} against the SavedModel"
    if rule.judged_by != "estimate":
        subject = f"the {rule.judged_by} of {subject}"
    found = "not a number" if math.isnan(requirement.value) else f"{requirement.value:.4f}"
    return f"{subject} is {found}, required is {rule.bound:g} or {'more' if rule.direction == 'at least' else 'less'}"


def _check(
    rules: Sequence[Rule], figures: Mapping[Key, float], baseline: Mapping[Key, float], classes: Sequence[str]
) -> Iterator[Requirement]:
    for rule in rules:
        label = None if rule.label is None else classes.index(rule.label)
        if rule.change:
            value = figures[rule.metric, label] - baseline[rule.metric, label]
            if rule.change == "relative":
                value /= baseline[rule.metric, label] or math.nan
        else:
            # There are no intervals where a score is no number.
            value = figures.get((rule.figure, label), math.nan)
        short = rule.bound - value if rule.direction == "at least" else value - rule.bound
        yield Requirement(rule, value, short <= _ROUNDING)
