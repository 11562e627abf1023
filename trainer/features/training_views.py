"""The views that one training needs: from the cache of an earlier training, otherwise from new backbone passes."""

import hashlib
import logging
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from crackgate.config.train import CHOOSING_IMAGES, TrainOptions
from crackgate.own_code import digest_own
from crackgate.source_digest import code_digest
from trainer.augmentation.model import configured_augmentation
from trainer.features.backbone_engine import Engine, build_engine
from trainer.features.views import TrainingViews, Views, compute_activations, compute_views
from trainer.features.views_cache import ViewsCache
from trainer.imbalance import draw_images, views_per_image
from trainer.input_pipeline import digest_examples, read_images, read_labels

log = logging.getLogger("crackgate")

# Options that act on finished views. Any other option asks for new ones.
_LATER_OPTIONS = {
    "batch_size",
    "dropout",
    "fine_tune_epochs",
    "fine_tune_learning_rate",
    "fine_tune_share",
    "head_epochs",
    "head_learning_rate",
    "imbalance",
    "least_precision",
    "mixed_precision",
    "patience",
    "positive_classes",
    "reuse_views",
    "strategy",
    "target_recall",
    "views",
}
# Views whose activations are stored: some 110 MB at 160 x 160 pixels. More of a small set did not help.
_KEPT_VIEWS = 4500
# Added to the seed: the augmentation takes five seeds from there on.
_SEEDS = {"train": 0, "eval": 5}
# Images: some requests for each core, in little memory.
_READ_AT_ONCE = 32


def training_views(
    lower: keras.Model,
    upper: keras.Model,
    options: TrainOptions,
    train_files: list[str],
    eval_files: list[str],
    folder: Path,
) -> TrainingViews:
    """Views of train and eval; the backbone's two parts have their weights and are frozen.

    The cache in `folder` receives views that it lacks, and loses those that this training does not need. Up to 4,500
    views of training images are kept; the other images are streamed. Without fine-tuning all are kept, as features.
    """
    cache = ViewsCache(folder)
    source = _ViewSource(lower, upper, options, cache)
    rng = np.random.default_rng(options.seed)

    train_labels, eval_labels = read_labels(train_files), read_labels(eval_files)
    each = views_per_image(train_labels, options.views, _KEPT_VIEWS, options.imbalance)
    most = max(1, _KEPT_VIEWS // each) if options.fine_tune_epochs else len(train_labels)
    kept = draw_images(train_labels, most, options.imbalance, rng)
    choosing = draw_images(eval_labels, CHOOSING_IMAGES, options.imbalance, rng)
    views = TrainingViews(
        train=source.get("train", train_files, kept, each, options.views),
        validation=source.get("eval", eval_files, choosing, min(options.views, 2)),
        validation_once=None if choosing.all() else source.get("eval", eval_files, ~choosing, 1),
        choosing=choosing,
        stream=None if kept.all() else ImageStream(source, train_files, train_labels, ~kept),
        kept=kept,
        first_as_it_is=each == options.views,
    )
    cache.prune()
    return views


class ImageStream:
    """See `Stream`: training images in the order in which they are stored."""

    def __init__(self, source: "_ViewSource", file_patterns: list[str], labels: np.ndarray, chosen: np.ndarray):
        """Takes the labels of all stored images, and bool (images,) that marks those to stream."""
        self._source, self._files, self._rows = source, file_patterns, np.flatnonzero(chosen)
        self.labels = labels[chosen]

    def read(self, first: int, activations: np.ndarray) -> None:
        """See `Stream`."""
        self._source.stream(self._files, self._rows, first, activations)


class _ViewSource:
    def __init__(self, lower: keras.Model, upper: keras.Model, options: TrainOptions, cache: ViewsCache):
        self._lower, self._upper, self._options, self._cache = lower, upper, options, cache

    def get(
        self, split: str, file_patterns: list[str], chosen: np.ndarray, views: int, versions: int | None = None
    ) -> Views:
        """Views of the chosen images of a split; `views` and `versions` as for `compute_views`."""
        options = self._options
        origin = {
            "split": split,
            "images": digest_examples(file_patterns),
            "chosen": hashlib.sha256(chosen.tobytes()).hexdigest(),
            "views": [views, versions],
            "weights": self._weights,
            "options": options.model_dump(mode="json", exclude=_LATER_OPTIONS),
            "code": code_digest("trainer.features.training_views"),
            "own_code": digest_own(options.own_functions()),
        }
        cut = self._lower.layers[-1].name if options.fine_tune_epochs else None

        def compute(file: Path | None) -> Views:
            images = read_images(file_patterns, options.image_size, _READ_AT_ONCE, chosen)
            augment = self._augment(options.seed + _SEEDS[split]) if (versions or views) > 1 else None
            # Eval decides by the network as it is served, in float32. Training views lose nothing by bfloat16.
            rough = split == "train"
            count = int(chosen.sum())
            return compute_views(split, images, count, lambda: self._engine, augment, views, file, versions, rough)

        return self._cache.get(origin, cut, compute)

    def stream(self, file_patterns: list[str], rows: np.ndarray, first: int, activations: np.ndarray) -> None:
        """Fills activations with one view of each of the stored images `rows[first : first + len(activations)]`."""
        options, count = self._options, len(activations)
        wanted = rows[first : first + count]
        # From the first file on: to pass over 7,000 stored images takes 0.4 s of CPU, to decode 2,500 some 3 s.
        chosen = np.zeros(wanted[-1] + 1, bool)
        chosen[wanted] = True
        images = read_images(file_patterns, options.image_size, _READ_AT_ONCE, chosen)
        # Another seed for each part: a resumed training draws what an uninterrupted one draws.
        augment = self._augment(options.seed + _SEEDS["eval"] + 5 + first) if options.views > 1 else None
        at_once = min(_READ_AT_ONCE, count)
        compute_activations("train", images, self._engine, augment, options.views, activations, at_once)

    def _augment(self, seed: int) -> Callable[..., tf.Tensor]:
        """An augmentation with this seed, as a graph that is made and compiled for the first seed only."""
        model, graph = self._augmentation
        # Random states are all the variables that an augmentation has.
        for state, new in zip(model.variables, configured_augmentation(self._options, seed).variables, strict=True):
            state.assign(new)
        return graph

    @cached_property
    def _augmentation(self) -> tuple[keras.Model, Callable[..., tf.Tensor]]:
        model = configured_augmentation(self._options, self._options.seed)
        return model, tf.function(model.__call__, autograph=False)

    @cached_property
    def _weights(self) -> str:
        digest = hashlib.sha256()
        for weight in (*self._lower.weights, *self._upper.weights):
            digest.update(weight.numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def _engine(self) -> Engine:
        return build_engine(self._lower, self._upper)
