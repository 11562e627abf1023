"""Confident learning: which labels the scores speak against, and which they leave alone."""

import numpy as np

from crackgate.model.label_doubts import likely_labels, self_confidences


def test_a_class_is_likely_where_its_score_is_as_high_as_its_own_images_have_it() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.4, 0.6], [0.45, 0.55]])
    labels = np.array([0, 0, 0, 1, 1])
    confidences = self_confidences(scores, labels)
    np.testing.assert_allclose(confidences, [0.6, 0.575])
    # The third has another label, the last one is sure of nothing.
    assert likely_labels(scores, confidences).tolist() == [0, 0, 1, 1, -1]


def test_a_rare_class_with_low_scores_is_not_accused() -> None:
    """Its images score 0.3, the others 0.98 for the frequent class: this is what a shy model gives, and no mistake."""
    scores = np.array([[0.98, 0.02]] * 98 + [[0.7, 0.3]] * 2)
    labels = np.array([0] * 98 + [1] * 2)
    likely = likely_labels(scores, self_confidences(scores, labels))
    assert not ((likely >= 0) & (likely != labels)).any()


def test_a_class_without_images_is_never_likely() -> None:
    scores = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
    confidences = self_confidences(scores, np.array([1, 0]))
    assert np.isinf(confidences[2])
    assert likely_labels(scores, confidences).tolist() == [1, 0]


def test_no_images_have_no_doubts() -> None:
    scores = np.empty((0, 2))
    assert likely_labels(scores, self_confidences(scores, np.empty(0, np.int64))).shape == (0,)
