"""From scores to a decision: positive from a threshold on, which is chosen on eval for a wanted recall."""

import functools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import beta

log = logging.getLogger("crackgate")

CONFIDENCE = 0.95
# In log odds: far more than the sums of two machines differ by.
_ROUNDING = 1e-3


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


def check_decidable(labels: np.ndarray, positives: Sequence[int], classes: list[str]) -> None:
    """Raises ValueError when eval's labels, int (images,), lack a positive class or all others: no threshold fits
    then.
    """
    found = [int((labels == label).sum()) for label in positives]
    others = len(labels) - sum(found)
    if not all((*found, others)):
        counted = " and ".join(
            f"{count} images of the positive class {classes[label]!r}"
            for label, count in zip(positives, found, strict=True)
        )
        raise ValueError(
            f"the decision threshold is chosen on eval, which has {counted} and {others} others: each is needed; add "
            "images, or set data.split.eval higher, or set train.positive_class to another class"
        )


def fit_decision(
    scores: np.ndarray, labels: np.ndarray, positives: Sequence[int], target_recall: float
) -> Decision | None:
    """Chooses the threshold and logs the recall and precision that these images show; None without a positive class.

    Args:
        scores: float32 (images, classes), calibrated.
        labels: int (images,); of every positive class and others, see `check_decidable`.
        positives: Labels of the positive classes, ascending.
        target_recall: Above 0, 1 at most.
    """
    if not positives:
        return None
    decision = Decision(tuple(positives), choose_threshold(scores, labels, positives, target_recall))
    estimate = measure_recall(decision, scores, labels, target_recall)
    log.info(
        "decision threshold %.6f: on eval, %d of %d positive images are found at a precision of %.4f",
        decision.threshold,
        estimate.found,
        estimate.positives,
        estimate.precision,
    )
    if estimate.recall_shown < target_recall:
        needed = "no number of them" if estimate.positives_needed is None else f"{estimate.positives_needed} or more"
        log.info(
            "%d positive images show a recall of %.4f with 95 %% confidence, not the wanted %g: that takes %s",
            estimate.positives,
            estimate.recall_shown,
            target_recall,
            needed,
        )
    return decision


def choose_threshold(scores: np.ndarray, labels: np.ndarray, positives: Sequence[int], target_recall: float) -> float:
    """The threshold (float32, 0 to 1) of the best precision among those that reach the recall on these images.

    Each positive class has to reach it: rare hairline cracks may all be missed where wide ones make up for them. The
    threshold lies midway, in log odds, between the lowest positive score and the next lower one.

    Args:
        scores: float32 (images, classes).
        labels: int (images,): the truth; of every positive class and others.
        positives: Labels of the positive classes.
        target_recall: Above 0, 1 at most.
    """
    values, position = np.unique(positive_score(scores, positives), return_inverse=True)
    # Counts at or above each value, in all and of each positive class.
    flagged, *hits = (
        np.bincount(position, counted, len(values))[::-1].cumsum()[::-1]
        for counted in (np.ones(len(labels)), *(labels == label for label in positives))
    )
    # The product may come out above a whole number by a rounding error.
    enough = np.all([found >= math.ceil(target_recall * found[0] - 1e-9) for found in hits], axis=0)
    precision = np.where(enough, np.sum(hits, axis=0) / flagged, -1)
    # Values rise, so the first of the best has the highest recall.
    best = int(precision.argmax())
    lowest = _log_odds(values[best])
    below = _log_odds(values[best - 1]) if best else lowest - 2 * _ROUNDING
    threshold = np.float32(expit((lowest + below) / 2))
    between = threshold <= values[best] and (best == 0 or threshold > values[best - 1])
    return float(threshold if between else values[best])


def _log_odds(score: np.float32) -> float:
    # A float32 next to 1 is 2^-24 below it; 0 and 1 have no log odds.
    return float(logit(np.clip(np.float64(score), 2.0**-24, 1 - 2.0**-25)))


@dataclass(frozen=True)
class RecallEstimate:
    """Recall and precision of a decision on the images that it was chosen on.

    Attributes:
        positives: Images of the positive class.
        found: Those of them that are called positive.
        recall_shown: The recall that new images will reach, too, with 95 % confidence.
        positives_needed: Positive images, all found, that would show the wanted recall; None: no number would.
    """

    positives: int
    found: int
    precision: float
    recall: float
    recall_shown: float
    positives_needed: int | None


def measure_recall(decision: Decision, scores: np.ndarray, labels: np.ndarray, target_recall: float) -> RecallEstimate:
    """Measures the decision on the images that it was chosen on; labels, int (images,), have both values.

    The recall shown is Clopper and Pearson's lower bound. A threshold chosen on the same images leaves it valid: the
    share of a population above its sample's k-th lowest value has the same beta distribution (Wilks 1941).
    """
    truly, called = np.isin(labels, decision.labels), decision.is_positive(scores)
    positives, found = int(truly.sum()), int((truly & called).sum())
    return RecallEstimate(
        positives=positives,
        found=found,
        precision=found / int(called.sum()),
        recall=found / positives,
        recall_shown=float(beta.ppf(1 - CONFIDENCE, found, positives - found + 1)),
        positives_needed=math.ceil(math.log(1 - CONFIDENCE) / math.log(target_recall)) if target_recall < 1 else None,
    )
