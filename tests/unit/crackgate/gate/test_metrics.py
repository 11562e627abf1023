"""The gate's metrics as functions of arrays: against scikit-learn, against themselves, and in their intervals."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from crackgate.contracts import metric_names
from crackgate.gate.intervals import bootstrap, mcnemar_p, percentile_interval, proportion_interval
from crackgate.gate.metrics import Key, ScoredImages, bin_reliability, compute_metrics, count_confusion, draw_curve

CLASSES = 3


@st.composite
def scored_images(draw: st.DrawFn) -> ScoredImages:
    """With every class among the labels, and scores that often are the same."""
    labels = np.array([0, 1, 2, *draw(st.lists(st.integers(0, 2), max_size=30))])
    levels = draw(st.lists(st.integers(1, 6), min_size=CLASSES * len(labels), max_size=CLASSES * len(labels)))
    weights = np.array(levels, float).reshape(-1, CLASSES)
    decisions = draw(st.lists(st.integers(-1, 2), min_size=len(labels), max_size=len(labels)))
    positives = draw(st.sampled_from([(), (1,), (0, 2)]))
    return ScoredImages(labels, np.array(decisions), weights / weights.sum(axis=1, keepdims=True), positives)


def compute(given: ScoredImages, weights: np.ndarray | None = None) -> dict[Key, np.ndarray]:
    return compute_metrics(given, np.ones((1, len(given.labels))) if weights is None else weights, 0.9, 0.9)


@settings(deadline=None)
@given(scored_images())
def test_metrics_are_those_of_scikit_learn(given: ScoredImages) -> None:
    computed = {key: value.item() for key, value in compute(given).items()}
    labels, decisions, scores = given.labels, given.decisions, given.scores
    everything = [*range(CLASSES), -1]
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        labels, decisions, labels=everything, zero_division=np.nan
    )
    expected: dict[Key, float] = {
        (metric_names.ACCURACY, None): metrics.accuracy_score(labels, decisions),
        (metric_names.BALANCED_ACCURACY, None): np.mean(recall[:CLASSES]),
        (metric_names.LOG_LOSS, None): metrics.log_loss(labels, scores, labels=range(CLASSES)),
        (metric_names.BRIER, None): ((scores - np.eye(CLASSES)[labels]) ** 2).sum() / len(labels) / 2,
    }
    for label in range(CLASSES):
        truth = labels == label
        expected[metric_names.PRECISION, label] = precision[label]
        expected[metric_names.RECALL, label] = recall[label]
        expected[metric_names.F1, label] = f1[label]
        expected[metric_names.AUC, label] = metrics.roc_auc_score(truth, scores[:, label])
        expected[metric_names.PR_AUC, label] = metrics.average_precision_score(truth, scores[:, label])
        curve_precision, curve_recall, _ = metrics.precision_recall_curve(truth, scores[:, label])
        # The curve's last point, no image called positive, is not one of a threshold.
        curve_precision, curve_recall = curve_precision[:-1], curve_recall[:-1]
        expected[metric_names.RECALL_AT_PRECISION, label] = max(curve_recall[curve_precision >= 0.9], default=0)
        expected[metric_names.PRECISION_AT_RECALL, label] = max(curve_precision[curve_recall >= 0.9])
    for key, value in expected.items():
        assert computed[key] == pytest.approx(value, abs=1e-9, nan_ok=True), key


@settings(deadline=None)
@given(scored_images())
def test_several_positive_classes_are_one_more_class(given: ScoredImages) -> None:
    positives = (0, 2)
    several = replace(given, positives=positives)
    # The same images as a problem of two classes, with the sound ones first.
    summed = given.scores[:, positives].sum(axis=1)
    truth, called = np.isin(given.labels, positives).astype(int), np.isin(given.decisions, positives).astype(int)
    merged = compute(ScoredImages(truth, called, np.stack([1 - summed, summed], axis=1)))
    computed = compute(several)
    assert set(computed) == set(several.keys) and set(several.keys) - set(replace(given, positives=(0,)).keys) == {
        *((name, CLASSES) for name in metric_names.PER_CLASS),
        *((metric_names.POSITIVE_RECALL, label) for label in positives),
    }
    for name in metric_names.PER_CLASS:
        assert computed[name, CLASSES] == pytest.approx(merged[name, 1], abs=1e-9, nan_ok=True), name
    for label in positives:
        # Whichever of the positive classes is given.
        assert computed[metric_names.POSITIVE_RECALL, label] == pytest.approx(called[given.labels == label].mean())


@settings(deadline=None)
@given(scored_images(), st.data())
def test_a_weight_is_as_many_copies_of_the_image(given: ScoredImages, data: st.DataObject) -> None:
    count = len(given.labels)
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)))
    weights[:CLASSES] += 1
    copied = np.repeat(np.arange(count), weights)
    alike = ScoredImages(given.labels[copied], given.decisions[copied], given.scores[copied], given.positives)
    for key, value in compute(alike).items():
        assert compute(given, weights[None])[key] == pytest.approx(value, abs=1e-9, nan_ok=True), key


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    # Sure to 0.8 and right in 3 of 4; sure to 0.6 and right in 0 of 2.
    scores = np.array([[0.8, 0.2]] * 4 + [[0.4, 0.6]] * 2)
    given = ScoredImages(np.array([0, 0, 0, 1, 0, 0]), np.zeros(6, int), scores)
    error = compute(given)[metric_names.CALIBRATION_ERROR, None].item()
    assert error == pytest.approx((4 * abs(0.8 - 0.75) + 2 * 0.6) / 6)


def test_a_class_without_images_has_no_recall_and_a_decision_for_none_no_precision() -> None:
    given = ScoredImages(np.array([0, 0, 1]), np.array([0, -1, 0]), np.full((3, 3), 1 / 3))
    computed = {key: value.item() for key, value in compute(given).items()}
    assert np.isnan(
        [computed[metric_names.RECALL, 2], computed[metric_names.AUC, 2], computed[metric_names.PRECISION, 1]]
    ).all()
    assert computed[metric_names.ACCURACY, None] == pytest.approx(1 / 3)
    assert count_confusion(given).tolist() == [[1, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.5, 1.5])
def test_a_score_that_is_no_probability_is_unusable(bad: float) -> None:
    assert ScoredImages(np.array([0]), np.array([0]), np.array([[0.0, bad, 1.0]])).unusable == 1
    assert ScoredImages(np.array([0]), np.array([0]), np.array([[0.0, 0.0, 1.0]])).unusable == 0


@settings(deadline=None)
@given(scored_images(), st.sampled_from([(1,), (0, 2)]))
def test_curve_and_reliability_account_for_every_image(given: ScoredImages, positives: tuple[int, ...]) -> None:
    given = replace(given, positives=positives)
    curve = draw_curve(given)
    truth, score = np.isin(given.labels, positives), given.scores[:, positives].sum(axis=1)
    assert (np.diff(curve[:, 0]) > 0).all() and curve[0, 0] == 0 and curve[-1, 0] == 1
    assert set(score) <= set(curve[:, 0])
    for threshold, *counts in curve:
        called = score >= threshold
        parts = (called & truth, called & ~truth, ~called & ~truth, ~called & truth)
        assert counts == [part.sum() for part in parts]
    bins = bin_reliability(given)
    assert bins[:, 2].sum() == len(truth) and (bins[:, 2] > 0).all()
    assert (bins[:, :2] * bins[:, 2:]).sum(axis=0) == pytest.approx([score.sum(), truth.sum()])


def test_an_exact_interval_covers_the_truth_and_knows_that_all_of_few_is_little() -> None:
    assert proportion_interval(3, 3, 0.95) == (pytest.approx(0.025 ** (1 / 3)), 1)
    assert np.isnan(proportion_interval(0, 0, 0.95)).all()
    intervals = [proportion_interval(found, 60, 0.9) for found in range(61)]
    for truth in (0.5, 0.9, 0.99):
        covering = [found for found, (low, high) in enumerate(intervals) if low <= truth <= high]
        assert stats.binom.pmf(covering, 60, truth).sum() >= 0.9


def test_the_bootstrap_is_always_the_same_and_covers_the_truth() -> None:
    rng = np.random.default_rng(1)

    def interval(count: int) -> tuple[float, float]:
        values = rng.normal(0, 1, count)
        samples = bootstrap(lambda weights: {("mean", None): weights @ values / count}, count)["mean", None]
        again = bootstrap(lambda weights: {("mean", None): weights @ values / count}, count)["mean", None]
        assert (samples == again).all()
        return percentile_interval(samples, 0.9)

    covered = [low <= 0 <= high for low, high in (interval(200) for _ in range(100))]
    assert 0.8 <= np.mean(covered) <= 0.98
    # Drawn in several parts.
    drawn = bootstrap(lambda weights: {("images", None): weights.sum(axis=1)}, 20_000)["images", None]
    assert (drawn == 20_000).all() and len(drawn) == 400


def test_an_interval_of_what_is_mostly_undefined_is_none() -> None:
    assert np.isnan(percentile_interval(np.array([np.nan] * 20 + [0.5] * 80), 0.95)).all()
    assert percentile_interval(np.array([np.nan] * 5 + [0.5] * 95), 0.95) == (0.5, 0.5)


def test_mcnemars_test_looks_at_the_images_that_the_models_differ_on() -> None:
    assert mcnemar_p(0, 0) == 1 and mcnemar_p(5, 5) == 1
    assert mcnemar_p(0, 6) == pytest.approx(2 * 0.5**6) == mcnemar_p(6, 0)
