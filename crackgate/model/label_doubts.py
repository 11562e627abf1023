"""Labels that may be wrong, by confident learning on scores of models that never saw these labels.

Source: Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021.
"""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]
Labels = NDArray[np.int64]


def self_confidences(scores: Scores, labels: Labels) -> Scores:
    """Each class's mean score (classes,) over the images with its label, 0 to 1; infinite for a class without images.

    `scores` are (images, classes), `labels` (images,).
    """
    classes = scores.shape[1]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=scores[np.arange(len(labels)), labels], minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)


def likely_labels(scores: Scores, confidences: Scores) -> Labels:
    """The label (images,) that the scores (images, classes) are sure of, or -1.

    They are sure of a class whose score is as high as it is on average where the class is the label, `confidences`.
    """
    sure = np.where(scores >= confidences, scores, -1.0)
    likely: Labels = np.where(sure.max(axis=1) > 0, sure.argmax(axis=1), -1)
    return likely
