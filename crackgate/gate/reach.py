"""The reach of a perfect model on so few test images: whether any could pass the gate. Asked before the training."""

import math
from collections.abc import Iterator, Mapping, Sequence

from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import ALL_IMAGES, Outcome
from crackgate.contracts.stored_example import TEST_SPLIT
from crackgate.gate.intervals import proportion_interval
from crackgate.gate.judgement import judge
from crackgate.gate.metrics import Key
from crackgate.gate.rules import Rule
from crackgate.gate.wording import say_metric
from crackgate.plural import counted


def find_unreachable(
    rules: Sequence[Rule],
    splits: Mapping[str, Mapping[str, int]],
    positive_classes: Sequence[str],
    confidence: float,
) -> list[str]:
    """One sentence for each rule that a perfect model misses, and one that says what to do; none if there is no such.

    Rules that hold a lower bound against all test images are looked at; the slices are not known before the evaluation.

    Args:
        rules: The gate's.
        splits: Images of each class in each split.
        positive_classes: Some of the classes.
        confidence: `gate.confidence`, of the two-sided interval.
    """
    found = [
        sentence
        for rule in rules
        if rule.judged_by == "lower bound" and rule.slice == ALL_IMAGES and rule.direction == "at least"
        for sentence in _judge_perfect(rule, splits, positive_classes, confidence)
    ]
    if not found:
        return []
    return [
        *found,
        "no model can pass this gate: add images, give the test split more of them (data.split.test), require less "
        "(gate.min_recall, gate.require), or judge by the estimate (gate.positive_recall_by, judged_by)",
    ]


def _judge_perfect(
    rule: Rule, splits: Mapping[str, Mapping[str, int]], positive_classes: Sequence[str], confidence: float
) -> Iterator[str]:
    counts = {split: _count(rule.label, images, positive_classes) for split, images in splits.items()}
    images = counts[TEST_SPLIT]
    reached, _ = proportion_interval(images, images, confidence)
    perfect: dict[Key, float] = {
        (metric_names.IMAGES, None): float(images),
        (rule.metric, None): 1.0,
        (rule.metric + metric_names.LOW, None): reached,
    }
    # Without an image, ingest has said so.
    if not images or judge(rule, None, perfect).outcome != Outcome.FAILED:
        return
    of_class = f" of {rule.label}" if rule.label else ""
    needed = "no number of images is enough for a bound of 1"
    if rule.bound < 1:
        least = math.ceil(math.log((1 - confidence) / 2) / math.log(rule.bound))
        whole = math.ceil(least * sum(counts.values()) / images)
        needed = f"{rule.bound:g} needs {least:,}, about {whole:,} in all splits"
    yield (
        f"{counted(images, 'test image')}{of_class}: even a perfect model reaches a lower bound of {reached:.3f} of "
        f"the {say_metric(rule.metric, rule.label)}; {needed}"
    )


def _count(label: str | None, images: Mapping[str, int], positive_classes: Sequence[str]) -> int:
    if label is None:
        return sum(images.values())
    return sum(images[name] for name in ([label] if label in images else positive_classes))
