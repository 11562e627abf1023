"""Backbone outputs of each image, computed once and kept on disk: the backbone's passes are what training costs."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from trainer.engine import Engine

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
        train: Several views of each training image, or of as many as are augmented.
        validation: The image itself and an augmented view of eval images, or of as many as are needed. Together they
            choose the epoch: images of one surface say little about others, and of easy ones hardly one is wrong.
        train_once: One view of each other training image, without activations; None where there is no other.
        validation_once: One view of each other eval image; None where there is no other.
    """

    train: Views
    validation: Views
    train_once: Views | None = None
    validation_once: Views | None = None


def compute_views(
    name: str,
    images: tf.data.Dataset,
    count: int,
    engine: Engine,
    augment: Callable[..., tf.Tensor] | None,
    views: int,
    file: Path | None,
    rough: bool = False,
) -> Views:
    """Runs every image, and views - 1 augmented versions of it, through the frozen backbone.

    Args:
        name: What the images are, for the progress messages.
        images: Batches of (float32 images in 0 to 255, int64 labels), `count` images in all.
        count: Number of images.
        engine: Runs the backbone.
        augment: Augmentation model, or a function of it; None when `views` is 1.
        views: Views per image. The first is the image itself.
        file: Where to keep the activations, as .npy; None to keep only the features.
        rough: Whether bfloat16 will do for the images themselves, as it does for what augmentation made of them.
    """
    features = np.empty((count, views, engine.channels), np.float32)
    labels = np.empty(count, np.int64)
    activations = None
    if file is not None:
        shape = (count, views, *engine.activation_shape)
        activations = np.lib.format.open_memmap(file, "w+", np.float16, shape)

    done = 0
    for number, (batch, batch_labels) in enumerate(_versions(images, augment, views)):
        view = number % views
        rows = slice(done, done + len(batch_labels))
        labels[rows] = batch_labels
        cut = None if activations is None else activations[rows, view]
        # To an augmented view, what bfloat16 adds is a seventh of what augmentation did.
        engine.start(batch.numpy()[: len(batch_labels)], cut, features[rows, view], rough=rough or view > 0)
        if view == views - 1:
            done = rows.stop
            log.info("%s images through the backbone: %d of %d", name, done, count)
    engine.finish()
    return Views(activations, features, labels)


def _versions(images: tf.data.Dataset, augment: Callable[..., tf.Tensor] | None, views: int) -> tf.data.Dataset:
    """Every batch as it is, then as often as there are other views augmented, in the background."""
    if augment is None:
        return images
    # All of one size: for another one, the augmentation would be compiled once more.
    size = len(next(iter(images))[1])

    @tf.autograph.experimental.do_not_convert
    def augmented(batch: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        full = tf.pad(batch, [[0, size - tf.size(labels)], [0, 0], [0, 0], [0, 0]])
        return augment(tf.ensure_shape(full, (size, *batch.shape[1:])), training=True), labels

    @tf.autograph.experimental.do_not_convert
    def versions(batch: tf.Tensor, labels: tf.Tensor) -> tf.data.Dataset:
        itself = tf.data.Dataset.from_tensors((batch, labels))
        return itself.concatenate(itself.repeat(views - 1).map(augmented))

    return images.flat_map(versions).prefetch(2)
