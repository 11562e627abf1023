"""Scores of images by classifiers that never saw their labels, on the features of the frozen backbone."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from crackgate.model.label_doubts import likelier_labels
from trainer.features.views import TrainingViews

_FOLDS = 5
# Principal components: more of them took longer and found no more wrong labels.
_COMPONENTS = 64
# Inverse strength of the penalty; 0.001 finds fewer wrong labels.
_PENALTY = 0.01
_STEPS = 1000
# Fewer images tell chance from mistakes badly.
_FEWEST_IMAGES = 100


def train_features(views: TrainingViews) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of the train split whose views are kept: rows in the stored order, features and labels.

    They are int64 (images,), float32 (images, channels) and int64 (images,). An image is seen as it is if the first of
    its views always shows that, otherwise by the mean of its views.
    """
    features, labels = views.train.features, views.train.labels
    rows = np.arange(len(labels)) if views.kept is None else np.flatnonzero(views.kept)
    return rows, features[:, 0] if views.first_as_it_is else features.mean(axis=1), labels


def eval_features(views: TrainingViews) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of the eval split; every image is known, and seen as it is."""
    parts = [part for part in (views.validation, views.validation_once) if part is not None]
    labels = np.concatenate([part.labels for part in parts])
    chosen = np.ones(len(labels), bool) if views.choosing is None else views.choosing
    rows = np.concatenate([np.flatnonzero(chosen), np.flatnonzero(~chosen)])
    return rows, np.concatenate([part.features[:, 0] for part in parts]), labels


def cross_fitted_scores(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int) -> np.ndarray:
    """Scores, float64 (images, classes), by logistic regressions on the other folds; no rows if there are too few.

    `features` are float32 (images, channels), `labels` int64 (images,). Images of one of the `groups` (images,) share a
    fold. Labels that are doubtful at first are left out of the fit in a second round. There are too few below 100
    images, and where a class has images in one fold only.
    """
    scores = None
    if len(labels) >= _FEWEST_IMAGES:
        # Threads wait longer for each other than such small products take.
        with threadpool_limits(limits=1, user_api="blas"):
            scores = _two_rounds(features, labels, groups, classes)
    return np.empty((0, classes)) if scores is None else scores


def _two_rounds(features: np.ndarray, labels: np.ndarray, groups: np.ndarray, classes: int) -> np.ndarray | None:
    standard = StandardScaler().fit_transform(features)
    components = PCA(min(_COMPONENTS, *standard.shape), svd_solver="randomized", random_state=0)
    inputs, folds = components.fit_transform(standard), _folds(labels, groups)
    first = _scores(inputs, labels, folds, np.ones(len(labels), bool), classes)
    if first is None:
        return None
    second = _scores(inputs, labels, folds, likelier_labels(first, labels) < 0, classes)
    return first if second is None else second


def _folds(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The fold of each image: the groups of each class take turns."""
    _, firsts, numbers = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(labels[firsts], kind="stable")
    folds = np.empty(len(firsts), np.int64)
    folds[order] = np.arange(len(firsts)) % _FOLDS
    return folds[numbers]


def _scores(
    inputs: np.ndarray, labels: np.ndarray, folds: np.ndarray, trusted: np.ndarray, classes: int
) -> np.ndarray | None:
    scores = np.zeros((len(labels), classes))
    for fold in np.unique(folds):
        fitted, held_out = (folds != fold) & trusted, folds == fold
        if len(np.unique(labels[fitted])) < len(np.unique(labels)):
            return None
        model = LogisticRegression(C=_PENALTY, max_iter=_STEPS).fit(inputs[fitted], labels[fitted])
        scores[np.ix_(held_out, model.classes_)] = model.predict_proba(inputs[held_out])
    return scores
