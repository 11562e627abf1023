"""Labels that may be wrong, by confident learning on scores of models that never saw these labels.

Source: Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021.
"""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]
Labels = NDArray[np.int64]


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
