"""Cross-fitted scores: they find swapped labels, keep groups together, and are none where they would be guesses."""

import numpy as np
import pytest

from crackgate.model.label_doubts import doubtful_labels
from trainer.features.views import TrainingViews, Views
from trainer.fit.cross_fit import cross_fitted_scores, eval_features, train_features

CHANNELS = 40


def _images(counts: list[int], apart: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Features around another place for each class, and labels, mixed."""
    rng = np.random.default_rng(7)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    places = rng.normal(0, apart, (len(counts), CHANNELS))
    return (places[labels] + rng.normal(0, 1, (len(labels), CHANNELS))).astype(np.float32), labels


def _doubtful(features: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    groups = np.arange(len(labels)) if groups is None else groups
    scores = cross_fitted_scores(features, labels, groups, labels.max() + 1)
    return np.flatnonzero(doubtful_labels(scores, labels) >= 0)


@pytest.mark.parametrize("counts", [[200, 200], [360, 40], [200, 200, 200, 200]], ids=["even", "rare", "four"])
def test_swapped_labels_are_found_and_few_others(counts: list[int]) -> None:
    features, labels = _images(counts)
    given = labels.copy()
    swapped = np.random.default_rng(1).choice(len(labels), len(labels) // 20, replace=False)
    given[swapped] = (given[swapped] + 1) % len(counts)
    found = _doubtful(features, given)
    assert len(np.intersect1d(found, swapped)) >= 0.8 * len(swapped)
    assert len(np.intersect1d(found, swapped)) >= 0.5 * len(found)


def test_labels_without_any_relation_to_the_images_are_no_mistakes() -> None:
    assert len(_doubtful(*_images([200, 200], apart=0))) == 0


def test_clean_labels_are_left_alone() -> None:
    assert len(_doubtful(*_images([200, 200]))) == 0


def test_images_of_a_frequent_class_do_not_look_like_a_rare_one_whose_scores_are_low() -> None:
    features, labels = _images([970, 30], apart=0.2)
    scores = cross_fitted_scores(features, labels, np.arange(1000), 2)
    assert scores[labels == 1, 1].mean() < 0.3
    assert (doubtful_labels(scores, labels)[labels == 0] >= 0).sum() == 0
    assert (scores[labels == 0, 1] >= scores[labels == 1, 1].mean()).sum() > 15, "as high as the rare class's own"


def test_an_image_is_never_scored_by_a_fit_that_saw_its_copies() -> None:
    """Each image has an equal copy with the same wrong label: in other folds, the copy would vouch for it."""
    features, labels = _images([150, 150], apart=0.45)
    features, labels, groups = (np.concatenate([part, part]) for part in (features, labels, np.arange(300)))
    wrong = labels.copy()
    swapped = np.r_[0:15, 300:315]
    wrong[swapped] = 1 - wrong[swapped]
    scores = cross_fitted_scores(features, wrong, groups, 2)
    np.testing.assert_allclose(scores[:300], scores[300:], rtol=1e-4)
    apart = cross_fitted_scores(features, wrong, np.arange(600), 2)
    given = np.arange(600), wrong
    assert scores[given][swapped].mean() < apart[given][swapped].mean()


@pytest.mark.parametrize(
    ("counts", "groups"),
    [([49, 50], None), ([150, 1], None), ([80, 80], np.repeat([0, 1], 80))],
    ids=["few images", "a class of one image", "a class in one fold"],
)
def test_there_are_no_scores_where_they_would_be_guesses(counts: list[int], groups: np.ndarray | None) -> None:
    features, labels = _images(counts)
    if groups is not None:
        groups = labels
    groups = np.arange(len(labels)) if groups is None else groups
    assert cross_fitted_scores(features, labels, groups, len(counts)).shape == (0, len(counts))


def test_a_class_without_images_has_score_zero() -> None:
    features, labels = _images([80, 80])
    scores = cross_fitted_scores(features, labels, np.arange(160), 3)
    assert (scores[:, 2] == 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1)


def _views(labels: list[int], views: int) -> Views:
    features = np.array([[[label + view / 10, 1.0] for view in range(views)] for label in labels], np.float32)
    return Views(None, features, np.array(labels))


def test_features_come_with_their_rows_in_the_stored_order_and_their_labels() -> None:
    kept, choosing = np.array([True, False, True, False]), np.array([False, True, False])
    views = TrainingViews(_views([1, 2], 2), _views([6], 2), _views([5, 7], 1), choosing, None, kept, False)
    rows, features, labels = train_features(views)
    np.testing.assert_allclose(features[:, 0], [1.05, 2.05])
    assert (rows.tolist(), labels.tolist()) == ([0, 2], [1, 2])
    rows, features, labels = eval_features(views)
    assert (rows.tolist(), features[:, 0].tolist(), labels.tolist()) == ([1, 0, 2], [6, 5, 7], [6, 5, 7])


def test_images_are_taken_as_they_are_where_every_first_view_is() -> None:
    views = TrainingViews(_views([1, 2], 3), _views([6, 7], 2))
    for found, labels in ((train_features(views), [1, 2]), (eval_features(views), [6, 7])):
        rows, features, given = found
        assert (rows.tolist(), features[:, 0].tolist(), given.tolist()) == ([0, 1], labels, labels)
