"""The decision: the threshold that was asked for, at the best precision, and no image on its edge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binom

from crackgate.model.decision import (
    Decision,
    check_decidable,
    choose_threshold,
    decide,
    fit_decision,
    measure_recall,
    positive_score,
)


def _figures(scores: np.ndarray, truth: np.ndarray, threshold: float) -> tuple[float, float]:
    called = scores >= np.float32(threshold)
    return (truth & called).sum() / max(1, called.sum()), (truth & called).sum() / truth.sum()


def _choose(score: np.ndarray, truth: np.ndarray, target_recall: float) -> float:
    return choose_threshold(np.stack([1 - score, score], axis=1), truth.astype(int), (1,), target_recall)


def test_between_separate_classes_it_lies_midway_in_log_odds() -> None:
    odds = np.array([-5.0, -3.0, -2.5, 4.5, 6.0])
    threshold = _choose(expit(odds).astype(np.float32), odds > 0, 0.995)
    assert logit(threshold) == pytest.approx(1.0, abs=1e-3)


def test_few_positive_images_all_have_to_be_found() -> None:
    # One in ten is hard to see: 0.995 of ten is all of them, and 0.9 of ten is nine.
    scores = np.float32([0.9] * 9 + [0.3] + [0.4] * 5 + [0.1] * 100)
    truth = np.arange(len(scores)) < 10
    assert 0.1 < _choose(scores, truth, 0.995) < 0.3
    assert 0.4 < _choose(scores, truth, 0.9) < 0.9


def test_equal_precision_goes_to_the_higher_recall() -> None:
    scores = np.float32([0.9, 0.8, 0.7, 0.2, 0.1])
    assert 0.2 < _choose(scores, np.array([True, True, True, False, False]), 0.5) < 0.7


def test_a_model_that_knows_nothing_calls_everything_positive() -> None:
    scores = np.full(20, 0.3, np.float32)
    threshold = _choose(scores, np.arange(20) < 5, 0.9)
    assert threshold == pytest.approx(0.3, abs=1e-3) and (scores >= np.float32(threshold)).all()


@settings(deadline=None, max_examples=200)
@given(
    images=st.lists(
        st.tuples(
            # Ties, and scores that float32 cannot tell from 0, 1 or their neighbour.
            st.one_of(
                st.floats(0, 1, width=32),
                st.sampled_from([0.0, 0.5, float(np.nextafter(np.float32(0.5), np.float32(1))), 1.0, 1 - 2.0**-24]),
            ),
            st.booleans(),
        ),
        min_size=2,
        max_size=40,
    ),
    target=st.floats(0.01, 1),
)
def test_no_threshold_with_enough_recall_has_a_better_precision(
    images: list[tuple[float, bool]], target: float
) -> None:
    scores, truth = np.float32([score for score, _ in images]), np.array([positive for _, positive in images])
    truth[0], truth[1] = True, False
    threshold = _choose(scores, truth, target)
    assert float(np.float32(threshold)) == threshold
    precision, recall = _figures(scores, truth, threshold)
    assert recall >= target - 1e-9
    allowed = [figures[0] for value in scores if (figures := _figures(scores, truth, value))[1] >= target]
    assert precision == pytest.approx(max(allowed))


def test_positive_from_the_threshold_on_and_the_best_of_the_others_below() -> None:
    scores = np.float32([[0.5, 0.2, 0.3], [0.5, 0.3, 0.2], [0.3, 0.1, 0.6], [0.15, 0.05, 0.8], [np.nan] * 3])
    assert decide(scores, Decision((2,), threshold=0.3)).tolist() == [2, 0, 2, 2, 2]
    # The positive class is never given below its threshold, even where it scores highest.
    assert decide(scores, Decision((2,), threshold=0.7)).tolist() == [0, 0, 0, 2, 2]
    assert decide(scores[:4], None).tolist() == [0, 0, 2, 2]


def test_no_positive_class_no_decision() -> None:
    assert fit_decision(np.float32([[0.5, 0.5]]), np.array([0]), (), 0.9) is None


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1]])
def test_eval_needs_both_positive_and_other_images(labels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"\d images of the positive class 'Crack' and \d others: each is needed"):
        check_decidable(np.array(labels), (1,), ["Sound", "Crack"])
    check_decidable(np.array([0, 1]), (1,), ["Sound", "Crack"])


def test_eval_needs_images_of_every_positive_class() -> None:
    message = "3 images of the positive class 'Wide' and 0 images of the positive class 'Hairline' and 1 others"
    with pytest.raises(ValueError, match=message):
        check_decidable(np.array([0, 1, 1, 1]), (1, 2), ["Sound", "Wide", "Hairline"])
    check_decidable(np.array([0, 1, 2]), (1, 2), ["Sound", "Wide", "Hairline"])


def test_scores_of_positive_classes_are_summed_and_the_best_of_them_is_the_label() -> None:
    scores = np.float32([[0.4, 0.35, 0.25], [0.6, 0.1, 0.3], [0.4, 0.1, 0.5], [np.nan] * 3])
    decision = Decision((1, 2), 0.5)
    assert decision.is_positive(scores).tolist() == [True, False, True, True]
    # The highest score of the first is Sound's; half of its cracks are of either kind.
    assert decide(scores, decision).tolist() == [1, 0, 2, 1]
    # Not next to each other, and a sum that float32 rounds above 1.
    thirds = np.float32([[0.33333334, 0.33333334, 0.33333337, 0.0]])
    assert positive_score(thirds, (0, 1, 2)) == 1 and decide(thirds, Decision((0, 2), 0.7)).tolist() == [1]


def test_every_positive_class_reaches_the_recall() -> None:
    # Ten hairlines score lower than 990 wide cracks: 99 % of all are found without any hairline.
    score = np.concatenate([np.full(990, 0.9), np.full(10, 0.3), np.full(1000, 0.1), np.full(5, 0.4)]).astype(
        np.float32
    )
    labels = np.repeat([1, 2, 0, 0], [990, 10, 1000, 5])
    scores = np.stack([1 - score, score / 2, score / 2], axis=1)
    assert 0.1 < choose_threshold(scores, labels, (1, 2), 0.9) < 0.3
    # As one class, they are given up for the precision.
    assert 0.4 < choose_threshold(scores, np.minimum(labels, 1), (1, 2), 0.9) < 0.9


def test_the_recall_shown_is_the_one_below_which_so_many_hits_are_unlikely() -> None:
    scores = np.float32([[0.1, 0.9]] * 38 + [[0.9, 0.1]] * 62)
    labels = np.array([1] * 40 + [0] * 60)
    estimate = measure_recall(Decision((1,), 0.5), scores, labels, 0.95)
    assert (estimate.positives, estimate.found, estimate.precision, estimate.recall) == (40, 38, 1, 0.95)
    # That many or more found is a 5 % chance when the true recall is the bound.
    assert binom.sf(37, 40, estimate.recall_shown) == pytest.approx(0.05)


def test_it_says_how_many_positive_images_the_wanted_recall_takes() -> None:
    scores, labels = np.float32([[0.9, 0.1], [0.1, 0.9]] * 598), np.array([0, 1] * 598)
    enough = measure_recall(Decision((1,), 0.5), scores, labels, 0.995)
    assert enough.positives_needed == 598 and enough.recall_shown >= 0.995
    assert measure_recall(Decision((1,), 0.5), scores[2:], labels[2:], 0.995).recall_shown < 0.995
    assert measure_recall(Decision((1,), 0.5), scores, labels, 1.0).positives_needed is None


def test_the_bound_holds_for_thresholds_chosen_on_the_same_images() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        odds = np.concatenate([rng.normal(2, 1, 40), rng.normal(-2, 1, 60)])
        scores = np.stack([expit(-odds), expit(odds)], axis=1).astype(np.float32)
        labels = np.repeat([1, 0], [40, 60])
        # The one score that just reaches the recall, without the gap below it, which would only help.
        edge = Decision((1,), float(np.sort(scores[:40, 1])[2]))
        new = expit(rng.normal(2, 1, 4000)) >= edge.threshold
        held += new.mean() >= measure_recall(edge, scores, labels, 0.95).recall_shown
    assert held / 300 == pytest.approx(0.95, abs=0.04)
