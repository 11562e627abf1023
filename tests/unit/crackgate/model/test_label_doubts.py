"""Confident learning: which labels the scores speak against, and which they leave alone."""

import numpy as np

from crackgate.model.label_doubts import likelier_labels


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
