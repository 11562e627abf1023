"""A gate that no model can pass is told before the training, with the images that it takes."""

import pytest

from crackgate.config.gate import GateOptions, RequireOptions
from crackgate.gate.intervals import proportion_interval
from crackgate.gate.reach import find_unreachable
from crackgate.gate.rules import gate_rules

CLASSES = ["Hairline", "Sound", "Wide"]


def unreachable(test: tuple[int, ...], positive: list[str], **gate: object) -> list[str]:
    options = GateOptions.model_validate(gate)
    splits = {
        "train": dict(zip(CLASSES, (300, 300, 300), strict=True)),
        "eval": dict(zip(CLASSES, (61, 61, 61), strict=True)),
        "test": dict(zip(CLASSES, test, strict=True)),
    }
    return find_unreachable(gate_rules(CLASSES, positive, options), splits, positive, options.confidence)


def test_it_says_what_is_there_what_is_reached_and_what_is_needed() -> None:
    sentence, way_out = unreachable((39, 500, 500), ["Hairline"], min_recall=0.97)
    assert sentence == (
        "39 test images of Hairline: even a perfect model reaches a lower bound of 0.910 of the recall of Hairline; "
        "0.97 needs 122, about 1,252 in all splits"
    )
    assert "data.split.test" in way_out and "gate.positive_recall_by" in way_out


@pytest.mark.parametrize(("bound", "confidence"), [(0.8, 0.95), (0.97, 0.95), (0.995, 0.9)])
def test_as_many_as_it_says_are_enough_and_one_less_is_not(bound: float, confidence: float) -> None:
    sentence, _ = unreachable((1, 1, 1), ["Wide"], min_recall=bound, confidence=confidence)
    needed = int(sentence.partition("needs ")[2].partition(",")[0])
    assert (
        proportion_interval(needed, needed, confidence)[0]
        >= bound
        > proportion_interval(needed - 1, needed - 1, confidence)[0]
    )
    assert unreachable((1, 1, needed), ["Wide"], min_recall=bound, confidence=confidence) == []
    assert unreachable((1, 1, needed - 1), ["Wide"], min_recall=bound, confidence=confidence)


def test_each_of_several_positive_classes_needs_as_many() -> None:
    hairline, way_out = unreachable((100, 500, 500), ["Hairline", "Wide"], min_recall=0.97)
    assert "positive recall of Hairline" in hairline and "no model can pass this gate" in way_out
    together, *alone, _ = unreachable((50, 500, 50), ["Hairline", "Wide"], min_recall=0.97)
    assert together.startswith("100 test images of positive: even") and len(alone) == 2


def test_estimates_and_slices_are_left_to_the_gate() -> None:
    assert unreachable((3, 3, 3), ["Wide"], positive_recall_by="estimate", min_recall=0.97) == []
    assert unreachable((3, 3, 3), [], min_recall=0.97) == []
    dark = RequireOptions(metric="recall", label="Wide", slice="dark", min=0.97)
    assert unreachable((3, 3, 3), ["Wide"], min_recall=0, require=[dark]) == []


def test_other_metrics_that_are_judged_by_their_bound_are_asked_too() -> None:
    require = [
        RequireOptions(metric="accuracy", min=0.9, judged_by="bound"),
        RequireOptions(metric="recall", label="Wide", min=1),
    ]
    accuracy, recall, _ = unreachable((3, 3, 4), ["Wide"], min_recall=0, require=require)
    assert accuracy.startswith("10 test images: even a perfect model reaches a lower bound of 0.692 of the accuracy;")
    assert recall.endswith("; no number of images is enough for a bound of 1")
