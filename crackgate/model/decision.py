"""From scores to a decision: positive from a threshold on."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Decision:
    """An image is positive when its scores of the classes `labels` sum to `threshold` (float32, 0 to 1) or more.

    `labels` are the positive classes in ascending order: one or more, and not all.
    """

    labels: tuple[int, ...]
    threshold: float

    def is_positive(self, scores: np.ndarray) -> np.ndarray:
        """From scores (images, classes) to bool (images,). A score that is no number is positive: it needs a look."""
        return ~(positive_score(scores, self.labels) < np.float32(self.threshold))


def positive_score(scores: np.ndarray, positives: Sequence[int]) -> np.ndarray:
    """The score of being positive, 0 to 1 (images,): the sum of the positive classes', from (images, classes)."""
    # One by one: the served graph adds in this order, too, and the sums are equal to the last bit.
    return np.minimum(functools.reduce(np.add, [scores[:, label] for label in positives]), 1)


def decide(scores: np.ndarray, decision: Decision | None) -> np.ndarray:
    """The label of each image, int (images,), from float32 scores (images, classes).

    Images that are positive get the best of the positive classes, all others the best of the other classes. Without a
    decision the highest score decides.
    """
    if decision is None:
        return scores.argmax(axis=1)
    others = np.setdiff1d(np.arange(scores.shape[1]), decision.labels)
    best_positive, best_other = (
        np.asarray(labels)[scores[:, labels].argmax(axis=1)] for labels in (decision.labels, others)
    )
    return np.where(decision.is_positive(scores), best_positive, best_other)
