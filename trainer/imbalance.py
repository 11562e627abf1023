"""Class imbalance: weights in the loss, and draws of images, by which every class counts alike."""

import numpy as np

from crackgate.config.train import Imbalance


def train_weights(labels: np.ndarray, imbalance: Imbalance) -> np.ndarray:
    """Weight of each training image in the loss: float32 (images,), 1 on average."""
    return _class_weights(labels) if imbalance == "class_weights" else np.ones(len(labels), np.float32)


def eval_weights(labels: np.ndarray, imbalance: Imbalance) -> np.ndarray:
    """Weight of each image in the loss that chooses the best epoch: float32 (images,), 1 on average.

    Every class counts alike, with balanced sampling too: training lowers that loss.
    """
    return np.ones(len(labels), np.float32) if imbalance == "none" else _class_weights(labels)


def shown_weights(labels: np.ndarray, imbalance: Imbalance, times: np.ndarray) -> np.ndarray:
    """Weight in the loss of each image that training shows `times` times: float32 (images,), 1 on average.

    Every class counts alike, whatever the draws left to do; with "none", every showing does. `times` is above 0.
    """
    return np.ones(len(labels), np.float32) if imbalance == "none" else _class_weights(labels, times)


def draws(labels: np.ndarray, imbalance: Imbalance) -> np.ndarray:
    """How often `draw_part` draws each image, relative to the average image: float (images,)."""
    return _class_weights(labels) if imbalance == "balanced_sampling" else np.ones(len(labels))


def _class_weights(labels: np.ndarray, times: np.ndarray | None = None) -> np.ndarray:
    """Inverse class frequency (King and Zeng 2001); classes without an image do not count."""
    _, position = np.unique(labels, return_inverse=True)
    counts = np.bincount(position, times)
    return (counts.sum() / (len(counts) * counts))[position].astype(np.float32)


def draw_images(labels: np.ndarray, most: int, imbalance: Imbalance, rng: np.random.Generator) -> np.ndarray:
    """A sample of at most `most` images: bool (images,), of each class an equal share, or all if it has fewer.

    With "none", classes do not matter.
    """
    order = rng.permutation(len(labels))
    if imbalance != "none":
        # Rank of each image within its class: low ranks of every class come first.
        ranks = np.empty(len(labels), np.int64)
        for label in np.unique(labels):
            members = order[labels[order] == label]
            ranks[members] = np.arange(len(members))
        order = order[np.argsort(ranks[order], kind="stable")]
    chosen = np.zeros(len(labels), bool)
    chosen[order[:most]] = True
    return chosen


def views_per_image(labels: np.ndarray, views: int, most_views: int, imbalance: Imbalance) -> int:
    """The fewest views of an image, 1 to `views`, by which the smallest class fills its share of `most_views`.

    With "none", classes have no shares. `labels` are int (images,).
    """
    smallest = len(labels) if imbalance == "none" else np.unique(labels, return_counts=True)[1].min()
    share = most_views if imbalance == "none" else most_views / len(np.unique(labels))
    return next((each for each in range(1, views) if share <= each * smallest), views)


def draw_epoch(labels: np.ndarray, imbalance: Imbalance, rng: np.random.Generator) -> np.ndarray:
    """The images of one epoch in their order: int (images,), each once.

    With balanced sampling, as many of each class: images of a small class repeat, equally often to within one, and a
    large class shows another part each epoch.
    """
    if imbalance != "balanced_sampling":
        return rng.permutation(len(labels))
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    shares = np.diff(np.linspace(0, len(labels), len(classes) + 1).round().astype(int))
    drawn = [np.resize(rng.permutation(images), share) for images, share in zip(classes, shares, strict=True)]
    return rng.permutation(np.concatenate(drawn))


def draw_part(labels: np.ndarray, imbalance: Imbalance, seed: int, epoch: int, size: int) -> np.ndarray:
    """The images of an epoch that shows `size` of them: int (size,). The next epoch continues where it ends.

    The parts are cut from orders like `draw_epoch`'s, one after the other; epochs count from 0.
    """
    first = epoch * size
    cycles = range(first // len(labels), (first + size - 1) // len(labels) + 1)
    orders = [draw_epoch(labels, imbalance, np.random.default_rng([seed, cycle])) for cycle in cycles]
    return np.concatenate(orders)[first - cycles[0] * len(labels) :][:size]
