"""Backbone outputs of each image, computed once and kept on disk: the backbone's passes are what training costs."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from trainer.features.backbone_engine import Engine

log = logging.getLogger("crackgate")


@dataclass(frozen=True)
class Views:
    """What the backbone says of every view of every image.

    Attributes:
        activations: float16 (images, views, height, width, channels), the lower part's output, a file mapped into
            memory: the operating system keeps of it what fits. None when the backbone stays frozen.
        features: float32 (images, views, channels), the upper part's output, averaged over the picture.
        labels: int64 (images,).
    """

    activations: np.ndarray | None
    features: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class TrainingViews:
    """What a training learns from, is chosen by and is calibrated on.

    Attributes:
        train: One or several views of each training image, or of as many as there may be.
        validation: The image itself and an augmented view of eval images, or of as many as are needed. Together they
            choose the epoch: images of one surface say little about others, and of easy ones hardly one is wrong.
        validation_once: One view of each other eval image; None where there is no other.
    """

    train: Views
    validation: Views
    validation_once: Views | None = None


def compute_views(
    name: str,
    images: tf.data.Dataset,
    count: int,
    make_engine: Callable[[], Engine],
    augment: Callable[..., tf.Tensor] | None,
    views: int,
    file: Path | None,
    versions: int | None = None,
    rough: bool = False,
) -> Views:
    """Runs every image as it is, or augmented, or both, through the frozen backbone.

    Args:
        name: What the images are, for the progress messages.
        images: Batches of (float32 images in 0 to 255, int64 labels), `count` images in all.
        count: Number of images.
        make_engine: Gives what runs the backbone. Called while the first augmented views are being made: compiling the
            augmentation and the network takes seconds each.
        augment: Augmentation model, or a function of it; None when `versions` is 1.
        views: Views per image.
        file: Where to keep the activations, as .npy; None to keep only the features.
        versions: One view in so many is the image itself, the others are augmented; batches take turns. None: as many
            as views, so that the first view of every image is the image itself.
        rough: Whether bfloat16 will do for the images themselves, as it does for what augmentation made of them.
    """
    done, versions = 0, versions or views
    batches = iter(_views(images, augment, views, versions))
    engine = make_engine()
    features = np.empty((count, views, engine.channels), np.float32)
    labels = np.empty(count, np.int64)
    activations = None
    if file is not None:
        shape = (count, views, *engine.activation_shape)
        activations = np.lib.format.open_memmap(file, "w+", np.float16, shape)

    for number, (batch, batch_labels) in enumerate(batches):
        view = number % views
        rows = slice(done, done + len(batch_labels))
        labels[rows] = batch_labels
        cut = None if activations is None else activations[rows, view]
        # To an augmented view, what bfloat16 adds is a seventh of what augmentation did.
        as_it_is = number % versions == 0
        engine.start(batch.numpy()[: len(batch_labels)], cut, features[rows, view], rough=rough or not as_it_is)
        if view == views - 1:
            done = rows.stop
            log.info("%s images through the backbone: %d of %d", name, done, count)
    engine.finish()
    return Views(activations, features, labels)


def _views(
    images: tf.data.Dataset, augment: Callable[..., tf.Tensor] | None, views: int, versions: int
) -> tf.data.Dataset:
    """Every batch `views` times: one in `versions` as it is, the others augmented in the background."""
    if augment is None:
        return images
    # All of one size: for another one, the augmentation would be compiled once more.
    size = len(next(iter(images))[1])

    @tf.autograph.experimental.do_not_convert
    def view(number: tf.Tensor, pair: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        batch, labels = pair
        full = tf.pad(batch, [[0, size - tf.size(labels)], [0, 0], [0, 0], [0, 0]])
        full = tf.ensure_shape(full, (size, *batch.shape[1:]))
        return tf.cond(number % versions == 0, lambda: full, lambda: augment(full, training=True)), labels

    @tf.autograph.experimental.do_not_convert
    def repeated(batch: tf.Tensor, labels: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors((batch, labels)).repeat(views)

    begun_at_once = tf.data.Options()
    begun_at_once.experimental_warm_start = True
    return images.flat_map(repeated).enumerate().map(view).prefetch(2).with_options(begun_at_once)
