"""Views: the backbone's outputs for each image, as it is and augmented, computed once and kept on disk."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf

from trainer.features.backbone_engine import Engine

log = logging.getLogger("crackgate")


@dataclass(frozen=True)
class Views:
    """Backbone outputs for every view of every image.

    `activations`: float16 (images, views, height, width, channels), the lower part's output, mapped from a file. They
    are None when the backbone stays frozen. `features`: float32 (images, views, channels), the upper part's output,
    averaged over the picture. `labels`: int64 (images,).
    """

    activations: np.ndarray | None
    features: np.ndarray
    labels: np.ndarray


class Stream(Protocol):
    """Further training images, whose activations are computed when they are needed, one view each, and not kept."""

    labels: np.ndarray

    def read(self, first: int, activations: np.ndarray) -> None:
        """Fills float16 (n, height, width, channels) with those of the images from number `first` on."""


@dataclass(frozen=True)
class TrainingViews:
    """Views of the train and the eval split.

    `train` has a sample of the training images, or all; `stream` has the others, or is None. `validation` has each of
    some eval images as it is and augmented, and chooses the head's epoch. `validation_once` has one view of each other
    eval image, or is None. All eval images calibrate. `choosing`, bool (eval images,), marks those of `validation` in
    the stored order, and `kept`, bool (training images,), those of `train`; None: all are. `first_as_it_is` says
    whether the first view of every image in `train` is the image as it is.
    """

    train: Views
    validation: Views
    validation_once: Views | None = None
    choosing: np.ndarray | None = None
    stream: Stream | None = None
    kept: np.ndarray | None = None
    first_as_it_is: bool = True


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
        name: The images' name in progress messages.
        images: Batches of (float32 images in 0 to 255, int64 labels), `count` images in all.
        count: Number of images.
        make_engine: Builds the engine while the first augmented views are made; both take seconds to compile.
        augment: Augmentation model, or a function of it; None when `versions` is 1.
        views: Views per image.
        file: Receives the activations, as .npy; None to keep only the features.
        versions: One view in `versions` is the image itself; batches take turns. None: each image's first view is.
        rough: Whether bfloat16 is enough for the images themselves, as it is for augmented ones.
    """
    done, versions = 0, versions or views
    at_once = 1 if augment is None else len(next(iter(images))[1])
    batches = iter(_views(images, augment, views, versions, at_once))
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
        # bfloat16 changes features by a seventh of what augmentation changes.
        as_it_is = number % versions == 0
        engine.start(batch.numpy()[: len(batch_labels)], cut, features[rows, view], rough=rough or not as_it_is)
        if view == views - 1:
            done = rows.stop
            log.info("%s images through the backbone: %d of %d", name, done, count)
    engine.finish()
    return Views(activations, features, labels)


def compute_activations(
    name: str,
    images: tf.data.Dataset,
    engine: Engine,
    augment: Callable[..., tf.Tensor] | None,
    versions: int,
    activations: np.ndarray,
    at_once: int,
) -> None:
    """Fills activations, float16 (images, height, width, channels), with one view of each image.

    One batch in `versions` shows the images as they are. `at_once` is the size of all batches but the last, which may
    be smaller. The rest is as for `compute_views`.
    """
    count, done = len(activations), 0
    for batch, labels in _views(images, augment, 1, versions, at_once):
        rows = slice(done, done + len(labels))
        engine.start(batch.numpy()[: len(labels)], activations[rows], None, rough=True)
        done = rows.stop
        log.info("%s images through the backbone: %d of %d", name, done, count)
    engine.finish()


def _views(
    images: tf.data.Dataset, augment: Callable[..., tf.Tensor] | None, views: int, versions: int, at_once: int
) -> tf.data.Dataset:
    """Every batch `views` times: one in `versions` as it is, the others augmented in the background."""
    if augment is None:
        return images

    @tf.autograph.experimental.do_not_convert
    def view(number: tf.Tensor, pair: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        batch, labels = pair
        # Batches of one size: for another size, the augmentation would be compiled again.
        full = tf.pad(batch, [[0, at_once - tf.size(labels)], [0, 0], [0, 0], [0, 0]])
        full = tf.ensure_shape(full, (at_once, *batch.shape[1:]))
        return tf.cond(number % versions == 0, lambda: full, lambda: augment(full, training=True)), labels

    @tf.autograph.experimental.do_not_convert
    def repeated(batch: tf.Tensor, labels: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors((batch, labels)).repeat(views)

    warm_start = tf.data.Options()
    warm_start.experimental_warm_start = True
    return images.flat_map(repeated).enumerate().map(view).prefetch(2).with_options(warm_start)
