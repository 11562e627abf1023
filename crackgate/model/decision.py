"""From scores to a decision: the positive class from a threshold on, which is chosen on eval for a wanted recall."""

import logging
import math
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
    """An image is positive when its score of the class `label` is `threshold` (float32, 0 to 1) or more."""

    label: int
    threshold: float

    def is_positive(self, scores: np.ndarray) -> np.ndarray:
        """From scores (images, classes) to bool (images,). A score that is no number is positive: it needs a look."""
        return ~(scores[:, self.label] < np.float32(self.threshold))


def decide(scores: np.ndarray, decision: Decision | None) -> np.ndarray:
    """The label of each image, int (images,), from float32 scores (images, classes).

    Images that are not positive get the best of the other classes. Without a decision the highest score decides.
    """
    if decision is None:
        return scores.argmax(axis=1)
    others = scores.copy()
    others[:, decision.label] = -1
    return np.where(decision.is_positive(scores), decision.label, others.argmax(axis=1))


def check_decidable(labels: np.ndarray, positive: int, classes: list[str]) -> None:
    """Raises ValueError when eval's labels, int (images,), lack the positive class or any other: no threshold fits
    then.
    """
    found = int((labels == positive).sum())
    if found in (0, len(labels)):
        raise ValueError(
            f"the decision threshold is chosen on eval, which has {found} images of the positive class "
            f"{classes[positive]!r} and {len(labels) - found} others: both are needed; add images, or set "
            "data.split.eval higher, or set train.positive_class to another class"
        )


def fit_decision(scores: np.ndarray, labels: np.ndarray, positive: int | None, target_recall: float) -> Decision | None:
    """Chooses the threshold and logs the recall and precision that these images show; None without a positive class.

    Args:
        scores: float32 (images, classes), calibrated.
        labels: int (images,); both positive and others, see `check_decidable`.
        positive: Label of the positive class.
        target_recall: Above 0, 1 at most.
    """
    if positive is None:
        return None
    decision = Decision(positive, choose_threshold(scores[:, positive], labels == positive, target_recall))
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


def choose_threshold(scores: np.ndarray, is_positive: np.ndarray, target_recall: float) -> float:
    """The threshold (float32, 0 to 1) of the best precision among those that reach the recall on these images.

    It lies midway, in log odds, between the lowest positive score and the next lower one.

    Args:
        scores: float32 (images,), of the positive class.
        is_positive: bool (images,): the truth; with both values.
        target_recall: Above 0, 1 at most.
    """
    values, position = np.unique(scores, return_inverse=True)
    # Counts at or above each value.
    hits = np.bincount(position, is_positive)[::-1].cumsum()[::-1]
    flagged = np.bincount(position)[::-1].cumsum()[::-1]
    # The product may come out above a whole number by a rounding error.
    enough = hits >= math.ceil(target_recall * is_positive.sum() - 1e-9)
    precision = np.where(enough, hits / flagged, -1)
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
    truly, called = labels == decision.label, decision.is_positive(scores)
    positives, found = int(truly.sum()), int((truly & called).sum())
    return RecallEstimate(
        positives=positives,
        found=found,
        precision=found / int(called.sum()),
        recall=found / positives,
        recall_shown=float(beta.ppf(1 - CONFIDENCE, found, positives - found + 1)),
        positives_needed=math.ceil(math.log(1 - CONFIDENCE) / math.log(target_recall)) if target_recall < 1 else None,
    )
