"""Confident learning: which labels the scores speak against, and which they leave alone."""

import numpy as np
import pytest

from crackgate.model.label_doubts import doubtful_labels, likelier_labels


def test_a_label_is_doubted_where_another_score_is_as_high_as_that_classs_own_images_have_it() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.4, 0.6], [0.45, 0.55], [0.42, 0.58]])
    labels = np.array([0, 0, 0, 1, 1, 0])
    # Images of class 1 have 0.575 on average.
    assert likelier_labels(scores, labels).tolist() == [-1, -1, 1, -1, -1, 1]


def test_a_score_below_that_average_is_no_doubt() -> None:
    scores = np.array([[0.9, 0.1], [0.45, 0.55], [0.1, 0.9], [0.2, 0.8]])
    assert likelier_labels(scores, np.array([0, 0, 1, 1])).tolist() == [-1, -1, -1, -1]


def test_a_rare_class_with_low_scores_is_not_accused() -> None:
    """Its images score 0.3, the others 0.98 for the frequent class: this is what a shy model gives, and no mistake."""
    scores = np.array([[0.98, 0.02]] * 98 + [[0.7, 0.3]] * 2)
    assert (likelier_labels(scores, np.array([0] * 98 + [1] * 2)) == -1).all()


def test_the_frequent_class_is_not_accused_for_the_low_average_of_a_rare_one() -> None:
    """The third image scores as high for the rare class as its own images, and higher for its own class."""
    scores = np.array([[0.98, 0.02]] * 98 + [[0.65, 0.35]] + [[0.7, 0.3]] * 2)
    labels = np.array([0] * 99 + [1] * 2)
    assert (likelier_labels(scores, labels) == -1).all()
    labels[0] = 1
    scores[1] = [0.1, 0.9]
    found = likelier_labels(scores, labels)
    assert found[:3].tolist() == [0, 1, -1]


def test_of_several_classes_the_likeliest_is_told() -> None:
    scores = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.5, 0.45, 0.05], [0.02, 0.2, 0.78]])
    assert likelier_labels(scores, np.array([0, 1, 2, 2, 1])).tolist() == [-1, -1, -1, 1, 2]


def test_a_class_without_images_is_never_likely() -> None:
    scores = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
    assert likelier_labels(scores, np.array([1, 0])).tolist() == [-1, -1]


def test_no_images_have_no_doubts() -> None:
    assert likelier_labels(np.empty((0, 2)), np.empty(0, np.int64)).shape == (0,)
    assert doubtful_labels(np.empty((0, 2)), np.empty(0, np.int64)).shape == (0,)


def _scores(margins: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Scores of two classes, from the logarithm of the own score's ratio to the other one."""
    own = 1 / (1 + np.exp(-margins))
    return np.where(np.arange(2) == labels[:, None], own[:, None], 1 - own[:, None])


@pytest.mark.parametrize("seed", range(5))
def test_a_judge_that_is_often_unsure_accuses_no_right_label(seed: int) -> None:
    """It is right in 93 of 100 images. Of its errors some are sure; so many are to be expected."""
    labels = np.repeat([0, 1], 600)
    scores = _scores(np.random.default_rng(seed).normal(2.6, 1.8, 1200), labels)
    assert (likelier_labels(scores, labels) >= 0).sum() > 3
    assert (doubtful_labels(scores, labels) >= 0).sum() == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("wrong", [1, 2, 30], ids=["one", "two", "thirty"])
def test_a_good_judge_finds_wrong_labels_be_they_ever_so_few(wrong: int, seed: int) -> None:
    labels = np.repeat([0, 1], 300)
    margins = np.random.default_rng(seed).normal(4, 1, 600)
    margins[:wrong] = -5
    assert np.flatnonzero(doubtful_labels(_scores(margins, labels), labels) >= 0).tolist() == list(range(wrong))


def test_more_sure_errors_than_a_weak_judge_makes_by_itself_are_wrong_labels_of_all_classes() -> None:
    labels = np.repeat([0, 1], 600)
    margins = np.random.default_rng(1).normal(3.5, 1.8, 1200)
    margins[:60] = -np.abs(margins[:60]) - 3
    scores = _scores(margins, labels)
    assert (likelier_labels(scores, labels)[labels == 1] >= 0).any()
    assert (doubtful_labels(scores, labels) == likelier_labels(scores, labels)).all()


def test_a_class_of_few_images_is_not_accused() -> None:
    labels = np.repeat([0, 1], [300, 8])
    margins = np.random.default_rng(1).normal(4, 1, 308)
    margins[-1] = -5
    assert likelier_labels(_scores(margins, labels), labels)[-1] == 0
    assert (doubtful_labels(_scores(margins, labels), labels) == -1).all()


def test_scores_without_any_relation_to_the_labels_accuse_nobody() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 900)
    assert (doubtful_labels(rng.dirichlet(np.ones(3), 900), labels) == -1).all()


@pytest.mark.parametrize("spread", [1e-6, 1e-3, 0.1, 1.0, 10.0])
def test_confirmed_images_at_any_place_in_front_of_another_class_are_judged(spread: float) -> None:
    """Nearly all at one margin, evenly spread down to zero, or nearly all at zero."""
    labels = np.repeat([0, 1], 40)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        margins = 0.01 + 5 * rng.beta(1 / spread, spread, 80) if seed % 2 else rng.uniform(0, spread, 80)
        margins[:2] = -6
        doubted = doubtful_labels(_scores(margins, labels), labels)
        assert set(np.flatnonzero(doubted >= 0)) <= {0, 1}


def test_scores_of_zero_and_one_are_judged_as_well() -> None:
    labels = np.repeat([0, 1], 100)
    scores = np.eye(2)[labels]
    scores[0] = [0, 1]
    assert np.flatnonzero(doubtful_labels(scores, labels) >= 0).tolist() == [0]
