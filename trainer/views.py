"""Backbone outputs of each image, computed once and kept on disk: the backbone's passes are what training costs."""

import logging
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from trainer.strategy import on_all_devices

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


def compute_views(
    name: str,
    images: tf.data.Dataset,
    count: int,
    lower: keras.Model,
    upper: keras.Model,
    augment: keras.Model | None,
    views: int,
    file: Path | None,
) -> Views:
    """Runs every image, and views - 1 augmented versions of it, through the frozen backbone.

    Args:
        name: What the images are, for the progress messages.
        images: Batches of (float32 images in 0 to 255, int64 labels), `count` images in all.
        count: Number of images.
        lower: Backbone up to the cut.
        upper: Backbone from the cut on.
        augment: Augmentation model; None when `views` is 1.
        views: Views per image. The first is the image itself.
        file: Where to keep the activations; None to keep only the features.
    """
    features = np.empty((count, views, upper.output_shape[-1]), np.float32)
    labels = np.empty(count, np.int64)
    activations = None
    if file is not None:
        activations = np.memmap(file, np.float16, "w+", shape=(count, views, *lower.output_shape[1:]))

    @tf.function(reduce_retracing=True)
    def run(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        cut = lower(batch, training=False)
        return cut, tf.reduce_mean(upper(cut, training=False), axis=(1, 2))

    run = on_all_devices(run)
    done = 0
    for batch, batch_labels in images:
        rows = slice(done, done + len(batch))
        labels[rows] = batch_labels
        for view in range(views):
            pixels = batch if view == 0 or augment is None else augment(batch, training=True)
            cut, pooled = run(pixels)
            features[rows, view] = pooled
            if activations is not None:
                activations[rows, view] = cut
        done = rows.stop
        log.info("%s images through the backbone: %d of %d", name, done, count)
    return Views(activations, features, labels)
