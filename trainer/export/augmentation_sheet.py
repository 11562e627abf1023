"""The augmentation as training used it: a Keras file, and a sheet of training images beside their augmented views."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from crackgate.config.train import TrainOptions
from crackgate.contracts.training_files import AUGMENTATION_FILE, AUGMENTATION_SHEET_FILE
from trainer.augmentation.model import configured_augmentation
from trainer.input_pipeline import read_images, read_labels

_VIEWS = 7
# Over all classes, unless there are more of these.
_ROWS = 8
_MOST_CLASSES = 30
# Pixels.
_SIDE, _GAP, _TITLE = 128, 4, 24


def write_augmentation(options: TrainOptions, classes: list[str], train_files: list[str], folder: Path) -> None:
    """Writes `augmentation.keras` and the sheet `augmentation.png`, or nothing where `train.views` is 1.

    The sheet has up to four training images of each class in a row each: as it is, then augmented. `train_files` are
    globs of gzipped TFRecord files. The Keras file loads after `import trainer.augmentation.model`.
    """
    if options.views == 1:
        return
    model = configured_augmentation(options, options.seed)
    labels = read_labels(train_files)
    shown = np.unique(labels)[:_MOST_CLASSES]
    each = max(1, min(4, _ROWS // len(shown)))
    chosen = np.zeros(len(labels), bool)
    for label in shown:
        chosen[np.flatnonzero(labels == label)[:each]] = True
    ((images, of_class),) = read_images(train_files, options.image_size, int(chosen.sum()), chosen)
    views = tf.stack([images, *(model(images, training=True) for _ in range(_VIEWS))], axis=1)
    model.save(folder / AUGMENTATION_FILE)
    _draw(_small(views), of_class.numpy(), [int(label) for label in shown], classes, folder / AUGMENTATION_SHEET_FILE)


def _small(views: tf.Tensor) -> np.ndarray:
    """uint8 (images, views, _SIDE, _SIDE, 3)."""
    images, count, side = views.shape[:3]
    small = tf.image.resize(tf.reshape(views, (-1, side, side, 3)), (_SIDE, _SIDE), antialias=True)
    return np.clip(small, 0, 255).astype(np.uint8).reshape(images, count, _SIDE, _SIDE, 3)


def _draw(views: np.ndarray, labels: np.ndarray, shown: list[int], classes: list[str], file: Path) -> None:
    width, cell = views.shape[1] * (_SIDE + _GAP), _SIDE + _GAP
    heights = [cell * int((labels == label).sum()) + _TITLE for label in shown]
    figure = Figure(figsize=(width / 100, sum(heights) / 100), dpi=100)
    top = sum(heights)
    for label, height in zip(shown, heights, strict=True):
        rows = views[labels == label]
        picture = np.pad(rows, [(0, 0), (0, 0), (0, _GAP), (0, _GAP), (0, 0)], constant_values=255)
        picture = picture.transpose(0, 2, 1, 3, 4).reshape(-1, width, 3)
        axes = figure.add_axes((0, (top - height) / sum(heights), 1, (height - _TITLE) / sum(heights)))
        axes.imshow(picture, aspect="auto", interpolation="nearest")
        axes.set_axis_off()
        title = f"{classes[label]}: training images as they are, then augmented"
        axes.set_title(title, loc="left", fontsize=10, pad=4, parse_math=False)
        top -= height
    figure.savefig(file)
