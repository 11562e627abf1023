"""The threshold: the recall that was asked for at the best precision, and no wrong label decides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binom

from crackgate.contracts.threshold_findings import ThresholdFindings
from crackgate.model.decision import Decision
from crackgate.model.threshold import check_decidable, choose_threshold, describe_threshold

TARGET, PRECISION = 0.995, 0.9


def _figures(scores: np.ndarray, truth: np.ndarray, threshold: float) -> tuple[float, float]:
    called = scores >= np.float32(threshold)
    return (truth & called).sum() / max(1, called.sum()), (truth & called).sum() / truth.sum()


def _two(score: np.ndarray) -> np.ndarray:
    return np.stack([1 - score, score], axis=1).astype(np.float32)


def _choose(score: np.ndarray, truth: np.ndarray, target_recall: float, least_precision: float = 0) -> float:
    return choose_threshold(_two(score), truth.astype(int), (1,), target_recall, least_precision)


def _describe(
    threshold: float, score: np.ndarray, truth: np.ndarray, target_recall: float = TARGET, precision: float = PRECISION
) -> ThresholdFindings:
    paths = [f"{number}.jpg" for number in range(len(score))]
    return describe_threshold(
        Decision((1,), threshold), _two(score), truth.astype(int), ["Sound", "Crack"], paths, target_recall, precision
    )


def test_between_separate_classes_it_lies_midway_in_log_odds() -> None:
    odds = np.array([-6.0, -5.0, -4.5, 2.5, 4.0])
    threshold = _choose(expit(odds).astype(np.float32), odds > 0, 0.995)
    assert logit(threshold) == pytest.approx(-1.0, abs=1e-3)


def test_it_is_no_higher_than_even_odds_unless_that_spares_false_alarms_beyond_chance() -> None:
    for below, others, expected in (
        # Nothing between 0.5 and the lowest crack; below it, midway stays midway.
        ([], [0.3], 0.5),
        ([], [0.02], 0.384),
        # One sound image is chance, as are two beside one crack; two alone are not.
        ([], [0.8], 0.5),
        ([0.7], [0.8, 0.75], 0.5),
        ([], [0.8, 0.75], 0.897),
    ):
        scores = np.float32([*[0.95] * 100, *below, *others, *[0.01] * 100])
        truth = np.arange(len(scores)) < 100 + len(below)
        assert _choose(scores, truth, 0.99) == pytest.approx(expected, abs=1e-3)
        # A precision that only the higher threshold has is kept.
        assert _choose(scores, truth, 0.99, 1.0) >= expected - 1e-3


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
    # At 0.5 chance may make the difference.
    assert precision == pytest.approx(max(allowed)) or threshold == 0.5


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


def test_every_positive_class_reaches_the_recall() -> None:
    # Ten hairlines score lower than 990 wide cracks: 99 % of all are found without any hairline.
    score = np.concatenate([np.full(990, 0.9), np.full(10, 0.3), np.full(1000, 0.1), np.full(5, 0.4)]).astype(
        np.float32
    )
    labels = np.repeat([1, 2, 0, 0], [990, 10, 1000, 5])
    scores = np.stack([1 - score, score / 2, score / 2], axis=1)
    assert 0.1 < choose_threshold(scores, labels, (1, 2), 0.9, 0) < 0.3
    # As one class, they are given up for the precision.
    assert 0.4 < choose_threshold(scores, np.minimum(labels, 1), (1, 2), 0.9, 0) < 0.9


def _photographs(
    rng: np.random.Generator, positives: int, others: int, swapped: float, distance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of two normal distributions of log odds, the truth, and labels of which a share is swapped."""
    truth = np.arange(positives + others) < positives
    score = expit(np.where(truth, 1, -1) * distance + rng.normal(0, 2, len(truth))).astype(np.float32)
    wrong = rng.permutation(len(truth)) < round(swapped * len(truth))
    return score, truth, truth ^ wrong


def _accuracy(score: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    return float(((score >= np.float32(threshold)) == truth).mean())


@pytest.mark.parametrize("positives", [40, 200, 2000])
@pytest.mark.parametrize("swapped", [0, 0.01, 0.05])
@pytest.mark.parametrize("others_each", [0.5, 1, 9])
@pytest.mark.parametrize("distance", [5, 8])
def test_wrong_labels_hardly_cost_accuracy(positives: int, swapped: float, others_each: float, distance: float) -> None:
    # AUC 0.9998 or 1. The cost is in photographs that nobody mislabelled.
    rng = np.random.default_rng(positives)
    later, truth, _ = _photographs(rng, 10_000, round(10_000 * others_each), 0, distance)
    costs = []
    for _ in range(20):
        score, _, labels = _photographs(rng, positives, round(positives * others_each), swapped, distance)
        best = max(_accuracy(later, truth, threshold) for threshold in expit(np.linspace(-4, 4, 41)))
        costs.append(best - _accuracy(later, truth, _choose(score, labels, TARGET, PRECISION)))
    # At any price, on average up to 0.44.
    assert np.mean(costs) < 0.02 and np.quantile(costs, 0.9) < 0.05


@pytest.mark.parametrize("positives", [40, 200, 2000])
@pytest.mark.parametrize("others_each", [0.2, 1, 9])
def test_the_wanted_recall_is_kept_on_clean_labels(positives: int, others_each: float) -> None:
    rng = np.random.default_rng(positives)
    for _ in range(20):
        score, truth, _ = _photographs(rng, positives, round(positives * others_each), 0, 6)
        threshold = _choose(score, truth, TARGET, PRECISION)
        assert _figures(score, truth, threshold)[1] >= TARGET
        # It is the threshold that the recall would have at any price.
        assert threshold == _choose(score, truth, TARGET)


def test_one_wrong_label_among_forty_decides_nothing_and_is_named() -> None:
    score = np.concatenate([np.linspace(0.9, 0.99, 39), [0.011], np.linspace(0.01, 0.1, 40)]).astype(np.float32)
    truth = np.arange(80) < 40
    threshold = _choose(score, truth, TARGET, PRECISION)
    assert 0.1 < threshold < 0.9 and _choose(score, truth, TARGET) < 0.0125
    findings = _describe(threshold, score, truth)
    assert (findings.positives, findings.found, findings.given_up, findings.precision) == (40, 39, 1, 1)
    assert findings.precision_at_target == pytest.approx(40 / 79)
    (wrong,) = findings.check_labels
    assert (wrong.path, wrong.actual, wrong.score) == ("39.jpg", "Crack", pytest.approx(0.011))
    assert findings.lowest_found.path == "0.jpg"
    said = " ".join(findings.sentences())
    assert "train.target_recall = 0.995, is not followed: it asks for 1 more" in said
    assert "Check these labels" in said and "'39.jpg' (Crack, score 0.0110)" in said


def test_what_is_followed_is_not_said_to_be_given_up() -> None:
    score, truth, _ = _photographs(np.random.default_rng(0), 200, 200, 0, 8)
    findings = _describe(_choose(score, truth, TARGET, PRECISION), score, truth)
    assert findings.given_up == 0 and findings.precision == findings.precision_at_target
    said = " ".join(findings.sentences())
    assert "not followed" not in said and "Check" not in said and repr(findings.lowest_found.path) in said


def test_the_surest_mistakes_are_named_first_and_at_most_twenty() -> None:
    score, truth, labels = _photographs(np.random.default_rng(1), 1000, 1000, 0.05, 8)
    findings = _describe(_choose(score, labels, TARGET, PRECISION), score, labels)
    assert findings.misclassified >= 95 and len(findings.check_labels) == 20
    assert all(labels[row] != truth[row] for row in (int(image.path[:-4]) for image in findings.check_labels))
    odds = np.abs(logit([image.score for image in findings.check_labels]) - logit(findings.threshold))
    assert (np.diff(odds) <= 1e-6).all()
    assert f"and {findings.misclassified - 5:,} more" in " ".join(findings.sentences())


def test_wrong_labels_that_put_the_precision_out_of_reach_do_not_cost_the_recall() -> None:
    score, truth, labels = _photographs(np.random.default_rng(2), 500, 500, 0.15, 8)
    threshold = _choose(score, labels, TARGET, PRECISION)
    assert _figures(score, labels, threshold)[0] < PRECISION
    assert _figures(score, truth, threshold)[1] > 0.99 and _accuracy(score, truth, threshold) > 0.99
    said = " ".join(_describe(threshold, score, labels).sentences())
    assert "train.least_precision = 0.9, is not reached" in said
    assert "Check these labels of eval" in said


def test_where_the_recall_costs_too_much_the_best_within_the_precision_is_left() -> None:
    # 90 clear cracks, then ten each in a row of five sound images.
    score = np.concatenate([np.full(90, 0.9), np.full(5, 0.8), np.full(5, 0.6), np.full(9, 0.8), np.full(200, 0.1)])
    score[95:100], score[99:108] = 0.3, 0.5
    truth = np.arange(len(score)) < 100
    for precision, recall in ((0, 1), (0.8, 1), (0.95, 0.95)):
        threshold = _choose(score.astype(np.float32), truth, 1.0, precision)
        found_precision, found_recall = _figures(score.astype(np.float32), truth, threshold)
        assert found_precision >= precision and found_recall == pytest.approx(recall, abs=0.011)


@settings(deadline=None, max_examples=200)
@given(
    images=st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=2, max_size=40),
    target=st.floats(0.01, 1),
    precision=st.floats(0, 1),
)
def test_a_higher_precision_never_lowers_the_threshold(
    images: list[tuple[float, bool]], target: float, precision: float
) -> None:
    scores, truth = np.float32([score for score, _ in images]), np.array([positive for _, positive in images])
    truth[0], truth[1] = True, False
    free, bound = _choose(scores, truth, target), _choose(scores, truth, target, precision)
    figures = _figures(scores, truth, bound)
    fewest = max(_accuracy(scores, truth, value) for value in scores)
    reached = figures[1] >= target - 1e-9 or figures[0] >= precision - 1e-9
    # At 0.5 chance may make the difference.
    assert reached or bound == 0.5 or _accuracy(scores, truth, bound) == pytest.approx(fewest)
    assert bound >= free or figures[1] >= target - 1e-9
    findings = _describe(bound, scores, truth, target, precision)
    assert (findings.given_up > 0) == (figures[1] < target - 1e-9)


def test_every_positive_class_gets_what_the_precision_bears() -> None:
    # Hairlines lie among many sound images: they are given up, and wide cracks are not.
    score = np.concatenate([np.full(200, 0.9), np.full(5, 0.2), np.full(300, 0.3), np.full(300, 0.1)])
    labels = np.repeat([1, 2, 0], [200, 5, 600])
    scores = np.stack([1 - score, score / 2, score / 2], axis=1).astype(np.float32)
    threshold = choose_threshold(scores, labels, (1, 2), TARGET, PRECISION)
    assert 0.3 < threshold < 0.9 and choose_threshold(scores, labels, (1, 2), TARGET, 0) < 0.2
    findings = describe_threshold(
        Decision((1, 2), threshold), scores, labels, ["Sound", "Wide", "Hair"], ["x"] * 805, TARGET, PRECISION
    )
    assert findings.given_up == 5 and findings.positive_classes == ["Wide", "Hair"]
    assert {image.actual for image in findings.check_labels} == {"Hair"}


def test_the_recall_shown_is_the_one_below_which_so_many_hits_are_unlikely() -> None:
    score, truth = np.repeat(np.float32([0.9, 0.1]), [38, 62]), np.arange(100) < 40
    estimate = _describe(0.5, score, truth, 0.95)
    assert (estimate.positives, estimate.found, estimate.precision, estimate.recall) == (40, 38, 1, 0.95)
    # If the true recall is the bound, the chance of so many found or more is 5 %.
    assert binom.sf(37, 40, estimate.recall_shown) == pytest.approx(0.05)


def test_it_says_how_many_positive_images_the_wanted_recall_takes() -> None:
    score, truth = np.float32([0.1, 0.9] * 598), np.array([False, True] * 598)
    enough = _describe(0.5, score, truth)
    assert enough.positives_needed == 598 and enough.recall_shown >= 0.995
    assert _describe(0.5, score[2:], truth[2:]).recall_shown < 0.995
    assert _describe(0.5, score, truth, 1.0).positives_needed is None


def test_the_bound_holds_for_thresholds_chosen_on_the_same_images() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        odds = np.concatenate([rng.normal(2, 1, 40), rng.normal(-2, 1, 60)])
        score = expit(odds).astype(np.float32)
        # The one score that just reaches the recall, without the gap below it, which would only help.
        edge = float(np.sort(score[:40])[2])
        new = expit(rng.normal(2, 1, 4000)) >= edge
        held += new.mean() >= _describe(edge, score, np.arange(100) < 40, 0.95).recall_shown
    assert held / 300 == pytest.approx(0.95, abs=0.04)


def test_that_no_positive_image_is_found_is_said_in_numbers_that_can_be_stored() -> None:
    scores = np.array([[0.5, 0.5], [0.4, 0.6], [0.9, 0.1]], np.float32)
    labels = np.array([1, 0, 1])
    decision = Decision((1,), 0.55)
    findings = describe_threshold(decision, scores, labels, ["Sound", "Crack"], ["a", "b", "c"], 0.995, 0.9)
    assert (findings.found, findings.recall_shown, findings.lowest_found) == (0, 0, None)
    assert ThresholdFindings.model_validate_json(findings.model_dump_json()) == findings
    assert "of which" not in findings.sentences()[0]
