"""The training images whose labels may be wrong, with their pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from crackgate.contracts import stored_example
from crackgate.contracts.doubtful_label import LISTED, DoubtfulLabel, TrainingDoubts
from crackgate.contracts.training_files import DOUBTS_FILE
from crackgate.model.label_doubts import doubtful_labels
from crackgate.pages.thumbnails import make_thumbnail
from trainer.export.image_paths import read_paths_and_groups
from trainer.features.views import TrainingViews
from trainer.fit.cross_fit import cross_fitted_scores, eval_features, train_features
from trainer.input_pipeline import read_examples


@dataclass(frozen=True)
class _Image:
    """A stored image: its split, its place in it, and its path."""

    split: str
    row: int
    path: str


def write_doubtful_labels(
    views: TrainingViews, train_files: list[str], eval_files: list[str], classes: list[str], folder: Path
) -> None:
    """Judges the labels of train and eval, and writes a `TrainingDoubts` to `doubtful_labels.json`."""
    splits = {stored_example.TRAIN_SPLIT: train_files, stored_example.EVAL_SPLIT: eval_files}
    known = dict(zip(splits, (train_features(views), eval_features(views)), strict=True))
    features, labels = (np.concatenate([of_split[part] for of_split in known.values()]) for part in (1, 2))
    images, groups = _read(splits, {split: rows for split, (rows, _, _) in known.items()})
    scores = cross_fitted_scores(features, labels, groups, len(classes))
    # No scores: too few images.
    labels = labels[: len(scores)]
    likely = doubtful_labels(scores, labels)
    doubtful = np.flatnonzero(likely >= 0)
    doubtful = doubtful[np.argsort(-scores[doubtful, likely[doubtful]], kind="stable")]
    found = [
        DoubtfulLabel(
            path=images[at].path,
            split=images[at].split,
            label=classes[labels[at]],
            likely=classes[likely[at]],
            score=scores[at, likely[at]],
        )
        for at in doubtful
    ]
    thumbnails = _thumbnails(splits, [images[at] for at in doubtful[:LISTED]])
    doubts = TrainingDoubts(judged=len(labels), found=found, thumbnails=thumbnails)
    (folder / DOUBTS_FILE).write_text(doubts.model_dump_json(), encoding="utf-8")


def _read(splits: dict[str, list[str]], known: dict[str, np.ndarray]) -> tuple[list[_Image], np.ndarray]:
    """The images of the known rows, split by split, and the number of each one's group, int64 (images,)."""
    images, groups = [], []
    numbers: dict[tuple[str, bytes], int] = {}
    for split, files in splits.items():
        stored = read_paths_and_groups(files)
        for row in known[split].tolist():
            path, group = stored[row]
            images.append(_Image(split, row, path))
            groups.append(numbers.setdefault((split, group), len(numbers)))
    return images, np.array(groups, np.int64)


def _thumbnails(splits: dict[str, list[str]], images: list[_Image]) -> dict[str, str]:
    """Data URIs by path."""
    found = {}
    for split, files in splits.items():
        paths = {image.row: image.path for image in images if image.split == split}
        records = read_examples(files).take(max(paths, default=-1) + 1).as_numpy_iterator()
        for row, record in enumerate(records):
            if row in paths:
                stored = tf.train.Example.FromString(record).features.feature
                found[paths[row]] = make_thumbnail(stored[stored_example.ENCODED].bytes_list.value[0])
    return found
