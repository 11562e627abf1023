"""The decision threshold, chosen on eval for a wanted recall, as far as the precision bears it."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logit
from scipy.stats import beta

from crackgate.contracts.threshold_findings import EvalImage, ThresholdFindings
from crackgate.model.decision import Decision, positive_score
from crackgate.plural import counted

CONFIDENCE = 0.95
# In log odds: far more than the sums of two machines differ by.
_ROUNDING = 1e-3
# Of `least_precision`: the least share of positive images among those that a lower threshold adds.
_SHARE_OF_ADDED = 0.1
_FALSE_POSITIVES_FOR_ONE = 2
_MOST_NAMED = 20
# From this score on, a positive class is the likelier one.
_EVEN = 0.5


def check_decidable(labels: np.ndarray, positives: Sequence[int], classes: list[str]) -> None:
    """Raises ValueError when eval's labels, int (images,), lack a positive class or all others: no threshold fits
    then.
    """
    found = [int((labels == label).sum()) for label in positives]
    others = len(labels) - sum(found)
    if not all((*found, others)):
        found_of_each = " and ".join(
            f"{counted(count, 'image')} of the positive class {classes[label]!r}"
            for label, count in zip(positives, found, strict=True)
        )
        raise ValueError(
            f"the decision threshold is chosen on eval, which has {found_of_each} and {others} others: each is needed; "
            "add images, or set data.split.eval higher, or set train.positive_classes to others"
        )


def choose_threshold(
    scores: np.ndarray, labels: np.ndarray, positives: Sequence[int], target_recall: float, least_precision: float
) -> float:
    """The threshold (float32, 0 to 1) of the best precision among those that reach the recall on these images.

    Each positive class has to reach it: rare hairline cracks may all be missed where wide ones make up for them. The
    threshold lies midway, in log odds, between the lowest positive score and the next lower one, or at 0.5 where that
    is lower and as good within chance: from 0.5 on a positive class is the likelier one.

    No threshold is too low for the precision (see `_lowest`). A class that does not reach the recall then gets
    the best that is left: one wrong label decides nothing.

    Args:
        scores: float32 (images, classes).
        labels: int (images,): the truth; of every positive class and others.
        positives: Labels of the positive classes.
        target_recall: Above 0, 1 at most.
        least_precision: 0 to 1; at 0 the recall is reached at any price.
    """
    values, position = np.unique(positive_score(scores, positives), return_inverse=True)
    # Counts at or above each value, in all and of each positive class.
    flagged, *found = (
        np.bincount(position, counted, len(values))[::-1].cumsum()[::-1]
        for counted in (np.ones(len(labels)), *(labels == label for label in positives))
    )
    hits = np.array(found)
    lowest = _lowest(flagged, hits.sum(axis=0), least_precision)
    wanted = np.minimum([_wanted(count, target_recall) for count in hits[:, 0]], hits[:, lowest])
    allowed = (np.arange(len(values)) >= lowest) & (hits >= wanted[:, None]).all(axis=0)
    # Values rise, so the first of the best has the highest recall.
    best = int(np.where(allowed, hits.sum(axis=0) / flagged, -1).argmax())
    threshold = _midway(values, best)
    even = int(np.searchsorted(values, _EVEN))
    is_higher = threshold > _EVEN
    return _EVEN if is_higher and _is_as_good(flagged, hits.sum(axis=0), even, best, least_precision) else threshold


def _midway(values: np.ndarray, best: int) -> float:
    """The threshold between a value and the next lower one, in log odds."""
    edge = _log_odds(values[best])
    below = _log_odds(values[best - 1]) if best else edge - 2 * _ROUNDING
    threshold = np.float32(expit((edge + below) / 2))
    between = threshold <= values[best] and (best == 0 or threshold > values[best - 1])
    return float(threshold if between else values[best])


def _is_as_good(flagged: np.ndarray, hits: np.ndarray, even: int, best: int, least_precision: float) -> bool:
    """Whether the threshold at `even` makes no more mistakes than that at `best`, within one standard error.

    Answers change for some images. Those that only the higher threshold gets right may outnumber the others by the
    square root of their sum (McNemar 1947). A precision that is asked for, and that the higher one has, is kept.
    """
    gained = hits[even] - hits[best]
    false_alarms = flagged[even] - flagged[best] - gained
    precise = hits[even] / flagged[even] >= min(least_precision, hits[best] / flagged[best]) - 1e-9
    return bool(precise and false_alarms - gained <= math.sqrt(false_alarms + gained))


def _lowest(flagged: np.ndarray, hits: np.ndarray, least_precision: float) -> int:
    """The lowest threshold that the precision bears, as a position among the rising values.

    1. Its precision is `least_precision` or more.
    2. Of the images that it adds, a tenth of that share are positive. A few wrong labels deep among the others, which
       many images hardly show in the precision, do not reach that.
    3. The lowest positive image alone adds two false positives at most: its label may be wrong.
    4. The threshold of the fewest mistakes is always borne: wrong labels may put the bound out of reach.

    Args:
        flagged: Images at or above each value, (values,).
        hits: Positive images at or above each value, (values,).
        least_precision: 0 to 1; at 0 the precision bears everything.
    """
    if least_precision == 0:
        return 0
    wrong, missed = flagged - hits, hits[0] - hits
    fewest = int((wrong + missed).argmin())
    share = _SHARE_OF_ADDED * least_precision
    cost = share * wrong + (1 - share) * missed
    # Lower thresholds with more false positives do without one image of their gain.
    cost[:fewest] += (1 - share) * (wrong[:fewest] - wrong[fewest] > _FALSE_POSITIVES_FOR_ONE)
    precise = np.flatnonzero(hits / flagged >= least_precision - 1e-9)
    return min(max(int(cost.argmin()), int(precise[0]) if len(precise) else fewest), fewest)


def _wanted(images: float, target_recall: float) -> int:
    # The product may come out above a whole number by a rounding error.
    return math.ceil(target_recall * images - 1e-9)


def _log_odds(score: np.float32) -> float:
    # A float32 next to 1 is 2^-24 below it; 0 and 1 have no log odds.
    return float(logit(np.clip(np.float64(score), 2.0**-24, 1 - 2.0**-25)))


def describe_threshold(
    decision: Decision,
    scores: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    paths: Sequence[str],
    target_recall: float,
    least_precision: float,
) -> ThresholdFindings:
    """Measures the decision on the images that it was chosen on; as for `choose_threshold`, `paths` are the images'.

    The recall shown is Clopper and Pearson's lower bound. A threshold chosen on the same images leaves it valid: the
    share of a population above its sample's k-th lowest value has the same beta distribution (Wilks 1941).
    """
    score = positive_score(scores, decision.labels)
    truly, called = np.isin(labels, decision.labels), decision.is_positive(scores)
    positives, found = int(truly.sum()), int((truly & called).sum())
    given_up = sum(
        max(0, _wanted(float((labels == label).sum()), target_recall) - int((called & (labels == label)).sum()))
        for label in decision.labels
    )
    at_any_price = score >= np.float32(choose_threshold(scores, labels, decision.labels, target_recall, 0))

    def named(row: int) -> EvalImage:
        return EvalImage(path=paths[row], actual=classes[labels[row]], score=float(score[row]))

    wrong = np.flatnonzero(truly != called)
    sureness = [abs(_log_odds(score[row]) - _log_odds(np.float32(decision.threshold))) for row in wrong]
    surest = wrong[np.argsort(-np.array(sureness), kind="stable")]
    return ThresholdFindings(
        positive_classes=[classes[label] for label in decision.labels],
        threshold=decision.threshold,
        target_recall=target_recall,
        least_precision=least_precision,
        positives=positives,
        found=found,
        precision=found / int(called.sum()),
        recall=found / positives,
        given_up=given_up,
        precision_at_target=float(truly[at_any_price].mean()),
        recall_shown=float(beta.ppf(1 - CONFIDENCE, found, positives - found + 1)) if found else 0.0,
        positives_needed=math.ceil(math.log(1 - CONFIDENCE) / math.log(target_recall)) if target_recall < 1 else None,
        lowest_found=named(int(np.where(truly & called, score, np.inf).argmin())) if found else None,
        misclassified=len(wrong),
        check_labels=[named(int(row)) for row in surest[:_MOST_NAMED]],
    )
