"""Views of stored examples: from the cache where an earlier training left them, otherwise from new backbone passes."""

import hashlib
import importlib.metadata
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from crackgate.config.train import TrainOptions
from trainer.augmentation.augmentation import augmentation
from trainer.features.backbone_engine import Engine, build_engine
from trainer.features.views import Views, compute_views
from trainer.features.views_cache import ViewsCache
from trainer.input_pipeline import digest_examples, read_images, read_labels

# What acts on finished views. An option that is not named here asks for new ones.
_LATER_OPTIONS = {
    "dropout",
    "fine_tune_epochs",
    "fine_tune_learning_rate",
    "fine_tune_share",
    "head_epochs",
    "head_learning_rate",
    "imbalance",
    "most_views",
    "patience",
    "positive_class",
    "reuse_views",
    "strategy",
    "target_recall",
    "views",
}
# Added to the seed: the augmentation takes several from there on.
_SEEDS = {"train": 0, "eval": 5}
# Images: some requests for each core, in little memory.
_READ_AT_ONCE = 32
_LIBRARIES = ("keras", "openvino", "tensorflow")


class StoredViews:
    """Makes the views of one training."""

    def __init__(self, lower: keras.Model, upper: keras.Model, options: TrainOptions, cache: ViewsCache):
        """Takes the frozen backbone, cut in two, with its weights."""
        self._lower, self._upper, self._options, self._cache = lower, upper, options, cache

    def get(
        self,
        split: str,
        file_patterns: list[str],
        views: int = 1,
        versions: int | None = None,
        chosen: np.ndarray | None = None,
        activations: bool = True,
    ) -> Views:
        """Returns the views of a split's images.

        Args:
            split: "train" or "eval": each is augmented in its own way.
            file_patterns: Globs of its examples.
            views: Views per image.
            versions: See `compute_views`.
            chosen: bool (images,), which of its images; None for all.
            activations: Whether the lower part's output is wanted, if there is to be fine-tuning at all.
        """
        origin = {
            "split": split,
            "images": digest_examples(file_patterns),
            "chosen": None if chosen is None else hashlib.sha256(chosen.tobytes()).hexdigest(),
            "views": [views, versions],
            "weights": self._weights,
            "options": self._options.model_dump(mode="json", exclude=_LATER_OPTIONS),
            "versions": {name: _version(name) for name in _LIBRARIES},
        }
        cut = self._lower.layers[-1].name if activations and self._options.fine_tune_epochs else None

        def compute(file: Path | None) -> Views:
            images = read_images(file_patterns, self._options.image_size, _READ_AT_ONCE, chosen)
            count = len(read_labels(file_patterns)) if chosen is None else int(chosen.sum())
            augment = self._augment(self._options.seed + _SEEDS[split]) if (versions or views) > 1 else None
            # What bfloat16 does to features to learn from changes nothing; eval decides by the network as it is served.
            rough = split == "train"
            return compute_views(split, images, count, lambda: self._engine, augment, views, file, versions, rough)

        return self._cache.get(origin, cut, compute)

    def _augment(self, seed: int) -> Callable[..., tf.Tensor]:
        """An augmentation with this seed, as a graph that is made and compiled for the first seed only."""
        model, graph = self._augmentation
        for layer, new in zip(model.layers, augmentation(seed, self._options.other_surfaces).layers, strict=True):
            layer.seeds.state.assign(new.seeds.state)
        return graph

    @cached_property
    def _augmentation(self) -> tuple[keras.Model, Callable[..., tf.Tensor]]:
        model = augmentation(self._options.seed, self._options.other_surfaces)
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


def _version(library: str) -> Any:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
