"""Backbone outputs of each image, computed once and kept on disk: the backbone's passes are what training costs."""

import logging
from dataclasses import dataclass
from pathlib import Path

import keras
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
    augment: keras.Model | None,
    views: int,
    file: Path | None,
) -> Views:
    """Runs every image, and views - 1 augmented versions of it, through the frozen backbone.

    Args:
        name: What the images are, for the progress messages.
        images: Batches of (float32 images in 0 to 255, int64 labels), `count` images in all.
        count: Number of images.
        engine: Runs the backbone.
        augment: Augmentation model; None when `views` is 1.
        views: Views per image. The first is the image itself.
        file: Where to keep the activations, as .npy; None to keep only the features.
    """
    features = np.empty((count, views, engine.channels), np.float32)
    labels = np.empty(count, np.int64)
    activations = None
    if file is not None:
        shape = (count, views, *engine.activation_shape)
        activations = np.lib.format.open_memmap(file, "w+", np.float16, shape)

    @tf.function(reduce_retracing=True)
    def augmented(batch: tf.Tensor) -> tf.Tensor:
        assert augment is not None, "several views need augmentation"
        return augment(batch, training=True)

    done = 0
    for batch, batch_labels in images:
        rows = slice(done, done + len(batch))
        labels[rows] = batch_labels
        for view in range(views):
            pixels = batch if view == 0 else augmented(batch)
            cut = None if activations is None else activations[rows, view]
            # Decoding and augmentation go on while the engine is at work. To an augmented view, what bfloat16 adds is
            # a seventh of what augmentation did.
            engine.start(pixels.numpy(), cut, features[rows, view], rough=view > 0)
        done = rows.stop
        log.info("%s images through the backbone: %d of %d", name, done, count)
    engine.finish()
    return Views(activations, features, labels)
