"""Every metric of a classifier from its scores; each row of weights is one replicate of the images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crackgate.contracts import metric_names

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
# A metric's name and the label of its class; None for all classes. Of C classes several may be positive: then C is the
# label of these together.
Key = tuple[str, int | None]

# Lower probabilities count as this one, which keeps the log loss finite. TFMA uses the same value.
_LEAST_PROBABILITY = 1e-7
# Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".
_CALIBRATION_BINS = 15
_RELIABILITY_BINS = 10
_CURVE_POINTS = 200


@dataclass(frozen=True)
class ScoredImages:
    """N images of C classes with the scores of one model.

    Attributes:
        labels: int64 (N,), the truth, 0 to C - 1.
        decisions: int64 (N,), the model's; -1 for no known class.
        scores: float64 (N, C), 0 to 1.
        positives: Labels of the positive classes.
    """

    labels: Integers
    decisions: Integers
    scores: Floats
    positives: tuple[int, ...] = ()

    @property
    def right(self) -> NDArray[np.bool_]:
        """Correctly classified images, bool (N,)."""
        return self.labels == self.decisions

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Images without a score that is NaN or outside 0 to 1, bool (N,)."""
        # A comparison with NaN is false.
        usable: NDArray[np.bool_] = ((self.scores >= -1e-4) & (self.scores <= 1 + 1e-4)).all(axis=1)
        return usable

    @property
    def unusable(self) -> int:
        """Number of the other images."""
        return int((~self.usable).sum())

    def take(self, rows: NDArray[np.bool_]) -> "ScoredImages":
        """The images of these rows, bool (N,)."""
        return ScoredImages(self.labels[rows], self.decisions[rows], self.scores[rows], self.positives)

    @property
    def keys(self) -> list[Key]:
        """All metrics of these images: see `metric_keys`."""
        return metric_keys(self.scores.shape[1], self.positives)

    def members(self, label: int) -> list[int]:
        """The classes that a `Key`'s label stands for."""
        return [label] if label < self.scores.shape[1] else list(self.positives)


def metric_keys(classes: int, positives: Sequence[int]) -> list[Key]:
    """All metrics of `metric_names.OVERALL` and, for each class, of `metric_names.PER_CLASS`.

    With several positive classes, those of them together and each one's `metric_names.POSITIVE_RECALL` follow.
    """
    keys: list[Key] = [(name, None) for name in metric_names.OVERALL]
    keys += [(name, label) for label in _labels(classes, positives) for name in metric_names.PER_CLASS]
    return keys + [(metric_names.POSITIVE_RECALL, label) for label in positives if len(positives) > 1]


def _labels(classes: int, positives: Sequence[int]) -> range:
    return range(classes + (len(positives) > 1))


def compute_metrics(
    scored: ScoredImages, weights: Floats | Integers, fixed_precision: float, fixed_recall: float
) -> dict[Key, Floats]:
    """Computes all metrics of `metric_keys`, float64 (R,) each; NaN for a class without images.

    Args:
        scored: N images, with usable scores.
        weights: (R, N), how often each of R replicates counts an image.
        fixed_precision: The precision at which `recall_at_precision` is taken.
        fixed_recall: The recall at which `precision_at_recall` is taken.
    """
    classes = scored.scores.shape[1]
    weights = weights.astype(np.float64)
    counts = _confusion_counts(scored, weights)
    total = weights.sum(axis=1)
    found = np.stack([counts[:, label, label] for label in range(classes)], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        metrics: dict[Key, Floats] = {
            (metric_names.ACCURACY, None): found.sum(axis=1) / total,
            (metric_names.BALANCED_ACCURACY, None): (found / counts.sum(axis=2)).mean(axis=1),
            (metric_names.LOG_LOSS, None): weights @ _log_losses(scored) / total,
            (metric_names.BRIER, None): weights @ _squared_errors(scored) / total,
            (metric_names.CALIBRATION_ERROR, None): _calibration_error(scored, weights) / total,
        }
        for label in _labels(classes, scored.positives):
            members = scored.members(label)
            actual, given = counts[:, members].sum(axis=(1, 2)), counts[:, :, members].sum(axis=(1, 2))
            hits = counts[:, members][:, :, members].sum(axis=(1, 2))
            metrics[metric_names.PRECISION, label] = hits / given
            metrics[metric_names.RECALL, label] = hits / actual
            metrics[metric_names.F1, label] = 2 * hits / (actual + given)
            for name, values in _curve_metrics(scored, members, weights, fixed_precision, fixed_recall):
                metrics[name, label] = values
        if len(scored.positives) > 1:
            for label in scored.positives:
                flagged = counts[:, label, list(scored.positives)].sum(axis=1)
                metrics[metric_names.POSITIVE_RECALL, label] = flagged / counts[:, label].sum(axis=1)
    return metrics


def count_confusion(scored: ScoredImages) -> Integers:
    """Images by actual class and decision, int64 (C, C + 1); the last column is no known class."""
    return _confusion_counts(scored, np.ones((1, len(scored.labels))))[0].astype(np.int64)


def draw_curve(scored: ScoredImages) -> Floats:
    """Confusion counts at about 100 even thresholds and up to 200 scores, float64 (points, 5).

    Columns: rising threshold, true positives, false positives, true negatives, false negatives. An image counts as
    positive from the threshold upwards. There is a positive class at least.
    """
    score, truth = _one_against_rest(scored, scored.positives)
    distinct = np.unique(score)
    chosen = distinct[np.unique(np.linspace(0, len(distinct) - 1, min(len(distinct), _CURVE_POINTS)).astype(int))]
    thresholds = np.unique(np.concatenate([np.linspace(0, 1, 101), chosen]))
    below = [np.searchsorted(np.sort(score[part]), thresholds) for part in (truth, ~truth)]
    (missed, rejected), positives = below, int(truth.sum())
    return np.column_stack(
        [thresholds, positives - missed, len(score) - positives - rejected, rejected, missed]
    ).astype(np.float64)


def bin_reliability(scored: ScoredImages) -> Floats:
    """Mean positive score, share of positives and images, float64 (bins, 3), by rising score."""
    score, truth = _one_against_rest(scored, scored.positives)
    position = _bins(score, _RELIABILITY_BINS)
    images = np.bincount(position, minlength=_RELIABILITY_BINS)
    filled = images > 0
    means = [np.bincount(position, part, _RELIABILITY_BINS)[filled] / images[filled] for part in (score, truth)]
    return np.column_stack([*means, images[filled]]).astype(np.float64)


def _one_against_rest(scored: ScoredImages, members: Sequence[int]) -> tuple[Floats, NDArray[np.bool_]]:
    """Summed scores of some classes, (N,), and the images that are of one of them."""
    return scored.scores[:, members].sum(axis=1), np.isin(scored.labels, members)


def _confusion_counts(scored: ScoredImages, weights: Floats) -> Floats:
    """Weighted confusion matrices, (R, C, C + 1)."""
    classes = scored.scores.shape[1]
    cell = scored.labels * (classes + 1) + np.where(scored.decisions < 0, classes, scored.decisions)
    cells = np.zeros((len(cell), classes * (classes + 1)))
    cells[np.arange(len(cell)), cell] = 1
    return (weights @ cells).reshape(len(weights), classes, classes + 1)


def _log_losses(scored: ScoredImages) -> Floats:
    scores = scored.scores[np.arange(len(scored.labels)), scored.labels]
    losses: Floats = -np.log(np.clip(scores, _LEAST_PROBABILITY, 1))
    return losses


def _squared_errors(scored: ScoredImages) -> Floats:
    """Half of Brier's, 0 to 1; with two classes it is (score of the positive class - truth) squared."""
    truth = np.eye(scored.scores.shape[1])[scored.labels]
    errors: Floats = ((scored.scores - truth) ** 2).sum(axis=1) / 2
    return errors


def _calibration_error(scored: ScoredImages, weights: Floats) -> Floats:
    """Expected calibration error of the highest score (Guo et al. 2017), times the images."""
    confidence = scored.scores.max(axis=1)
    excess = confidence - (scored.scores.argmax(axis=1) == scored.labels)
    bins = np.zeros((len(confidence), _CALIBRATION_BINS))
    bins[np.arange(len(confidence)), _bins(confidence, _CALIBRATION_BINS)] = excess
    gaps: Floats = np.abs(weights @ bins).sum(axis=1)
    return gaps


def _bins(score: Floats, count: int) -> Integers:
    return np.clip((score * count).astype(np.int64), 0, count - 1)


def _curve_metrics(
    scored: ScoredImages, members: Sequence[int], weights: Floats, fixed_precision: float, fixed_recall: float
) -> Iterator[tuple[str, Floats]]:
    """ROC AUC (trapezoids), PR AUC (average precision), and points on the precision-recall curve of some classes."""
    score, truth = _one_against_rest(scored, members)
    order = np.argsort(-score, kind="stable")
    score, truth = score[order], truth[order]
    # Images of one score can only be called positive together.
    last_of_score = np.append(score[1:] != score[:-1], True)
    ordered = weights[:, order]
    true_positives = np.cumsum(ordered * truth, axis=1)[:, last_of_score]
    false_positives = np.cumsum(ordered * ~truth, axis=1)[:, last_of_score]
    positives, negatives = true_positives[:, -1], false_positives[:, -1]
    found = np.diff(true_positives, axis=1, prepend=0)
    height = true_positives - found / 2
    yield metric_names.AUC, (np.diff(false_positives, axis=1, prepend=0) * height).sum(axis=1) / (positives * negatives)
    # Without a positive decision, precision is 0 / 0 and counts as 0.
    precision = np.nan_to_num(true_positives / (true_positives + false_positives))
    yield metric_names.PR_AUC, (found * precision).sum(axis=1) / positives
    recall = true_positives / positives[:, None]
    yield metric_names.RECALL_AT_PRECISION, np.where(precision >= fixed_precision, recall, 0 * recall).max(axis=1)
    yield metric_names.PRECISION_AT_RECALL, np.where(recall >= fixed_recall, precision, 0 * recall).max(axis=1)
