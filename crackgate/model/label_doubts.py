"""Labels that may be wrong, by confident learning on scores of models that never saw these labels.

Source: Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import poisson

Scores = NDArray[np.floating]
Labels = NDArray[np.int64]
Margins = NDArray[np.float64]

# Share of a class's confirmed images, those nearest to another class, that say how fast its images become fewer.
_TAIL = 0.4
# Fewer images of a tail say nothing about it.
_FEWEST_IN_TAIL = 5
# Wrong labels show where right ones are half of the doubted at most, and all of them with this chance at most.
_RIGHT_SHARE = 0.5
_CHANCE = 0.005
_LEAST_SCORE = 1e-12


def doubtful_labels(scores: Scores, labels: Labels) -> Labels:
    """`likelier_labels`, if they are more than a judge as weak as this one finds among right labels.

    A judge that is often unsure is sometimes sure of the wrong class. A class's images become fewer with their margin,
    the logarithm of the own score's ratio to the best other one. Their fall down to zero, carried on exponentially,
    gives the number of right labels below any margin. In no class more: no label (images,) is doubted, all are -1.
    """
    likely = likelier_labels(scores, labels)
    margins = _margins(scores, labels)
    if any(_shows_wrong_labels(margins[labels == label], likely[labels == label] >= 0) for label in np.unique(labels)):
        return likely
    return np.full_like(likely, -1)


def _shows_wrong_labels(margins: Margins, doubted: NDArray[np.bool_]) -> bool:
    """Whether a class has more doubted images below some margin than its right labels explain."""
    limits = np.sort(margins[doubted])
    found = np.arange(1, len(limits) + 1)
    right = _expected_right(margins, limits)
    return bool(np.any((right <= _RIGHT_SHARE * found) & (poisson.sf(found - 1, right) < _CHANCE)))


def _margins(scores: Scores, labels: Labels) -> Margins:
    own = (np.arange(len(labels)), labels)
    others = np.array(scores, np.float64)
    others[own] = 0
    best, given = (np.maximum(part, _LEAST_SCORE) for part in (others.max(axis=1, initial=0), scores[own]))
    return np.log(given) - np.log(best)


def _expected_right(margins: Margins, limits: Margins) -> Margins:
    """How many of a class's images with right labels lie below each of the `limits`, which are negative."""
    confirmed = np.sort(margins[margins > 0])
    count = int(_TAIL * len(confirmed))
    # A judge that contradicts a third of a class does not know it.
    if count < _FEWEST_IN_TAIL or 3 * len(confirmed) < 2 * len(margins):
        return np.full(len(limits), np.inf)
    start = confirmed[count]
    rate = _falling_rate(start - confirmed[:count], start)
    # One more than were counted: a small sample may have missed it.
    return (count + 1) * np.exp(-rate * (start - limits)) / -np.expm1(-rate * start) if rate else limits + np.inf


def _falling_rate(distances: Margins, longest: float) -> float:
    """The likeliest rate of an exponential distribution of which only what is below `longest` is seen; 0 for none."""
    mean = max(float(distances.mean()), longest / 1000)
    # Nearer to a half there is no fall, and the search would see but rounding.
    if mean >= 0.499 * longest:
        return 0.0

    def excess(rate: float) -> float:
        """The mean at this rate, above the one found."""
        return float(1 / rate + longest * np.exp(-rate * longest) / np.expm1(-rate * longest) - mean)

    found: float = brentq(excess, 1e-6 / longest, 2 / mean)
    return found


def likelier_labels(scores: Scores, labels: Labels) -> Labels:
    """The label (images,) that the scores speak for instead of the given one; -1 where they do not doubt that.

    The scores are sure of a class whose score is as high as it is on average where the class is the label. A doubt
    needs more: the own class's score has to be lower. Otherwise images of a frequent class would look like a rare one,
    whose average is low. `scores` are (images, classes), `labels` (images,).
    """
    rows = np.arange(len(labels))
    sure = np.where(scores >= _self_confidences(scores, labels), scores, -1.0)
    likely = sure.argmax(axis=1)
    doubted: Labels = np.where(sure[rows, likely] > scores[rows, labels], likely, -1)
    return doubted


def _self_confidences(scores: Scores, labels: Labels) -> Scores:
    """Each class's mean score (classes,) over the images with its label; infinite for a class without images."""
    classes = scores.shape[1]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=scores[np.arange(len(labels)), labels], minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
