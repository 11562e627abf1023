"""Intervals as people read them: whatever the images, an interval holds the value that stands beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crackgate.config.gate import GateOptions
from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import Estimate, Outcome, find_metric
from crackgate.gate.measurement import measure, measure_changes, read_metrics
from crackgate.gate.metrics import ScoredImages
from crackgate.gate.wording import say_estimate, say_found, say_found_interval, say_interval
from tests.helpers.filled_summary import requirement


@pytest.mark.parametrize(
    ("low", "value", "high", "said"),
    [
        (0.99996, 0.99997, 0.99999, "0.9999 to 1.0000"),
        (0.9612, 0.97, 0.9971, "0.9612 to 0.9971"),
        (0.00001, 0.00002, 0.00004, "0.0000 to 0.0001"),
        (1.0, 1.0, 1.0, "1.0000 to 1.0000"),
    ],
)
def test_an_interval_is_rounded_outward(low: float, value: float, high: float, said: str) -> None:
    assert say_interval(Estimate(value=value, low=low, high=high)) == said
    row = requirement("recall", Outcome.PASSED, label="Positive", value=value, low=low, high=high, bound=0.5)
    assert say_found_interval(row) == said


def test_the_interval_of_a_change_keeps_its_signs() -> None:
    row = requirement("accuracy", Outcome.PASSED, value=0.0, low=-0.01234, high=0.00001, bound=-1, change="absolute")
    assert (say_found(row), say_found_interval(row)) == ("+0.0000", "-0.0124 to +0.0001")
    row = requirement("accuracy", Outcome.PASSED, value=-1e-5, low=-1e-5, high=-1e-6, bound=-1, change="absolute")
    assert say_found_interval(row) == "-0.0001 to +0.0000"


@settings(deadline=None, max_examples=15)
@given(st.integers(6, 60), st.floats(0.5, 8), st.integers(0, 99))
def test_every_shown_interval_holds_the_shown_value(images: int, skill: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.arange(images) % 2

    def score() -> ScoredImages:
        positive = 1 / (1 + np.exp(-skill * (labels - 0.5) - rng.normal(size=images)))
        return ScoredImages(labels, (positive >= 0.5).astype(int), np.column_stack([1 - positive, positive]), (1,))

    gate = GateOptions()
    first, second = (measure(score(), 0, gate) for _ in range(2))
    for value in read_metrics(first.metrics, ["Negative", "Positive"], ["Positive"]):
        if said := say_interval(value):
            low, high = map(float, said.split(" to "))
            assert low <= float(say_estimate(value)) <= high
    changes = measure_changes(second, first, gate)
    for name, label in first.keys:
        change = name + metric_names.CHANGE
        low, high = (changes[change + end, label] for end in (metric_names.LOW, metric_names.HIGH))
        assert not low > changes[change, label] and not high < changes[change, label]


@pytest.mark.parametrize("label", [0, 1])
def test_metrics_of_one_class_alone_say_nothing_that_counts_the_other(label: int) -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    scored = ScoredImages(np.full(3, label), scores.argmax(axis=1), scores, (1,))
    found = read_metrics(measure(scored, 0, GateOptions()).metrics, ["Negative", "Positive"], ["Positive"])
    for name in ("Negative", "Positive"):
        for metric in metric_names.OF_BOTH_SIDES:
            value = find_metric(found, metric, name)
            assert value is not None and value.value is value.low is value.high is None
    recall = find_metric(found, metric_names.RECALL, ("Negative", "Positive")[label])
    assert recall is not None and recall.value == pytest.approx((1 / 3, 2 / 3)[label]) and recall.low is not None


def test_with_images_of_both_classes_precision_has_its_value() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]])
    scored = ScoredImages(np.array([0, 1, 0]), scores.argmax(axis=1), scores, (1,))
    found = read_metrics(measure(scored, 0, GateOptions()).metrics, ["Negative", "Positive"], ["Positive"])
    precision = find_metric(found, metric_names.PRECISION, "Positive")
    assert precision is not None and precision.value == 0.5
