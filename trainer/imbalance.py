"""Classes of unequal size: so that the loss hears every class alike."""

import numpy as np

from crackgate.config.train import Imbalance


def train_weights(labels: np.ndarray, imbalance: Imbalance) -> np.ndarray:
    """Weight of each training image in the loss: float32 (images,), 1 on average."""
    return _class_weights(labels) if imbalance == "class_weights" else np.ones(len(labels), np.float32)


def eval_weights(labels: np.ndarray, imbalance: Imbalance) -> np.ndarray:
    """Weight of each image in the loss that chooses the best epoch: float32 (images,), 1 on average.

    That is the loss that training lowers: with balanced sampling, too, every class counts alike.
    """
    return np.ones(len(labels), np.float32) if imbalance == "none" else _class_weights(labels)


def _class_weights(labels: np.ndarray) -> np.ndarray:
    """Inverse to the size of the image's class (King and Zeng 2001); classes without an image do not count."""
    _, position, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return (len(labels) / (len(counts) * counts))[position].astype(np.float32)


def draw_images(labels: np.ndarray, most: int, imbalance: Imbalance, rng: np.random.Generator) -> np.ndarray:
    """Which images stand for all where not all can: bool (images,), at most `most` of them.

    As many of each class as there are, up to an equal share, so that small classes keep theirs; without regard to
    classes where nothing is to be done about their sizes.
    """
    order = rng.permutation(len(labels))
    if imbalance != "none":
        # Rank of each image among those of its class: low ranks of every class come first.
        ranks = np.empty(len(labels), np.int64)
        for label in np.unique(labels):
            members = order[labels[order] == label]
            ranks[members] = np.arange(len(members))
        order = order[np.argsort(ranks[order], kind="stable")]
    chosen = np.zeros(len(labels), bool)
    chosen[order[:most]] = True
    return chosen


def views_per_image(labels: np.ndarray, views: int, most_views: int, imbalance: Imbalance) -> int:
    """How many views of each image there may be, 1 to `views`: the fewest with which no class is short of images.

    Where all views come from different images, as many images are learnt from as there can be. A small class, which
    has too few for its share, needs several views of each.

    Args:
        labels: int (images,).
        views: At most so many.
        most_views: Of all images together.
        imbalance: With "none", classes have no shares.
    """
    smallest = len(labels) if imbalance == "none" else np.unique(labels, return_counts=True)[1].min()
    share = most_views if imbalance == "none" else most_views / len(np.unique(labels))
    return next((each for each in range(1, views) if share <= each * smallest), views)


def draw_epoch(labels: np.ndarray, imbalance: Imbalance, rng: np.random.Generator) -> np.ndarray:
    """Which images one epoch shows, in which order: int (images,).

    Every image once; with balanced sampling, as many of each class, so that those of a small class come up repeatedly,
    all equally often give or take one, and a large class shows another part of itself each epoch.
    """
    if imbalance != "balanced_sampling":
        return rng.permutation(len(labels))
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    shares = np.diff(np.linspace(0, len(labels), len(classes) + 1).round().astype(int))
    drawn = [np.resize(rng.permutation(images), share) for images, share in zip(classes, shares, strict=True)]
    return rng.permutation(np.concatenate(drawn))


def draw_part(labels: np.ndarray, imbalance: Imbalance, seed: int, epoch: int, size: int) -> np.ndarray:
    """Which images an epoch shows that shows a part of them: int (size,). The next epoch goes on where it ends.

    Args:
        labels: int (images,).
        imbalance: As `draw_epoch` takes it, from whose orders, one after the other, the parts are cut.
        seed: Of these orders.
        epoch: Counted from 0.
        size: Images of each epoch.
    """
    first = epoch * size
    cycles = range(first // len(labels), (first + size - 1) // len(labels) + 1)
    orders = [draw_epoch(labels, imbalance, np.random.default_rng([seed, cycle])) for cycle in cycles]
    return np.concatenate(orders)[first - cycles[0] * len(labels) :][:size]
