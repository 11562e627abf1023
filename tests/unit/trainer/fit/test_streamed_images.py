"""More images than are kept: fine-tuning reads the others in parts, and learns from every image, once and rightly."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from crackgate.config.train import TrainOptions
from tests.helpers.stored_images import write_images
from trainer.features import training_views as views_of_training
from trainer.features.training_views import ImageStream, training_views
from trainer.features.views import TrainingViews
from trainer.fit import stages
from trainer.network.backbones import split_at_top
from trainer.network.classifier import build_head
from trainer.network.folded_backbone import fold_batch_norm

KEPT, FRESH = 20, 9
EVAL = 12
OPTIONS = TrainOptions(
    image_size=32,
    batch_size=8,
    views=1,
    head_epochs=2,
    head_learning_rate=0.05,
    fine_tune_epochs=2,
    fine_tune_learning_rate=0.01,
    fine_tune_share=0.4,
    patience=2,
    mixed_precision="none",
    seed=5,
)


@dataclass(frozen=True)
class Training:
    """A network in parts, its views, and the images of the train split."""

    lower: keras.Model
    upper: keras.Model
    head: keras.Model
    views: TrainingViews
    options: TrainOptions
    labels: np.ndarray
    activations: np.ndarray

    def fit(self, folder: Path) -> list[np.ndarray]:
        """The weights after training with checkpoints in the folder."""
        self.fit_stages(folder)
        return [*self.upper.get_weights(), *self.head.get_weights()]

    def fit_stages(self, folder: Path) -> stages.Stages:
        """Trains with checkpoints in the folder."""
        return stages.train_stages(
            self.upper, self.head, self.views, self.options, folder / "logs", folder / "checkpoints"
        )


@pytest.fixture
def new_training(
    new_toy_backbone: Callable[[], keras.Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Training]:
    """Computes the views of `counts` images of each class, in any order, as `run_fn` does."""
    monkeypatch.setattr(views_of_training, "_KEPT_VIEWS", KEPT)
    monkeypatch.setattr(stages, "_MOST_FRESH", FRESH)

    def make(counts: list[int], **changes: Any) -> Training:
        options = TrainOptions.model_validate({**OPTIONS.model_dump(), **changes})
        labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
        images = _write(tmp_path / "train", labels, seed=2)
        _write(tmp_path / "eval", np.arange(EVAL) % len(counts), seed=3)
        keras.utils.set_random_seed(options.seed)
        backbone = fold_batch_norm(new_toy_backbone())
        lower, upper = split_at_top(backbone, options.fine_tune_share)
        head = build_head(backbone.output_shape[-1], len(counts), options)
        files = [str(tmp_path / "train")], [str(tmp_path / "eval")]
        views = training_views(lower, upper, options, *files, tmp_path / "views")
        activations = keras.ops.convert_to_numpy(lower(images.astype(np.float32)))
        return Training(lower, upper, head, views, options, labels, activations)

    return make


def _write(file: Path, labels: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    images = (rng.uniform(50, 200, (len(labels), 1, 1, 3)) + rng.normal(0, 20, (len(labels), 32, 32, 3))).clip(0, 255)
    images = images.astype(np.uint8)
    write_images(file, images, labels)
    return images


def _shown(training: Training) -> tuple[np.ndarray, np.ndarray]:
    """How often fine-tuning shows each image, and the image's weight; checks the labels and the buffer's size."""
    epochs = stages._FineTuningEpochs(training.views, training.options)
    times, weights = np.zeros(len(training.labels), int), np.full(len(training.labels), np.nan)
    for epoch in range(epochs.count):
        items = epochs.draw(epoch)
        values, labels, given = epochs.inputs.read(items)
        assert len(values) == len(items)
        assert epochs.inputs.fresh is not None and len(epochs.inputs.fresh.values) <= FRESH
        for value, label, weight in zip(values, labels, given, strict=True):
            off = np.abs(training.activations - value.astype(np.float32)).max(axis=(1, 2, 3))
            image = int(off.argmin())
            # bfloat16 and float16 of what the image gives, and far from any other.
            assert off[image] < 0.1 * np.sort(off)[1]
            assert label == training.labels[image]
            assert times[image] == 0 or weights[image] == weight
            times[image] += 1
            weights[image] = weight
    return times, weights


@pytest.mark.parametrize(
    ("counts", "changes"),
    [
        pytest.param([30, 29], {}, id="balanced"),
        pytest.param([61, 6], {}, id="imbalanced"),
        pytest.param([61, 6], {"imbalance": "none"}, id="imbalanced, uncorrected"),
        pytest.param([40, 12, 5], {"imbalance": "balanced_sampling"}, id="balanced sampling of three classes"),
        pytest.param([13, 12], {"fine_tune_epochs": 4}, id="parts of different sizes"),
        pytest.param([11, 11], {"fine_tune_epochs": 3}, id="fewer images than epochs"),
    ],
)
def test_every_image_is_shown_with_its_label_and_its_weight(
    counts: list[int], changes: dict[str, Any], new_training: Callable[..., Training]
) -> None:
    training = new_training(counts, **changes)
    stream = training.views.stream
    assert stream is not None and len(training.views.train.labels) == KEPT
    times, weights = _shown(training)
    streamed = len(stream.labels)
    assert streamed == len(training.labels) - KEPT
    assert np.sort(times)[:streamed].tolist() == [1] * streamed or training.options.imbalance == "balanced_sampling"
    if training.options.imbalance != "balanced_sampling":
        assert times.min() == 1 and times.sum() >= streamed + KEPT
    shown = times > 0
    if training.options.imbalance == "none":
        assert (weights == 1).all()
        return
    # Over all of fine-tuning every class counts alike.
    masses = np.bincount(training.labels, times * np.where(shown, weights, 0))
    assert masses == pytest.approx(np.full(len(counts), masses.mean()), rel=0.15)
    assert masses.sum() == pytest.approx(times.sum(), rel=0.15)


def test_fine_tuning_reads_every_streamed_image_once_and_stopped_between_two_parts_ends_with_the_same_weights(
    new_training: Callable[..., Training], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = new_training([30, 29], views=2)
    stream, read, parts = training.views.stream, ImageStream.read, []
    assert stream is not None

    def seen(self: ImageStream, first: int, activations: np.ndarray) -> None:
        parts.append((first, first + len(activations)))
        read(self, first, activations)

    before = training.upper.get_weights()
    with monkeypatch.context() as patch:
        patch.setattr(ImageStream, "read", seen)
        expected = training.fit(tmp_path / "whole")
    assert [start for start, _ in parts] == [0, *(end for _, end in parts[:-1])]
    assert parts[-1][1] == len(stream.labels) and max(end - start for start, end in parts) <= FRESH
    # More epochs than asked for: no part is larger.
    assert len(parts) == -(-len(stream.labels) // FRESH) > OPTIONS.fine_tune_epochs
    assert any((new != old).any() for new, old in zip(training.upper.get_weights(), before, strict=True))

    def stopped(self: ImageStream, first: int, activations: np.ndarray) -> None:
        if first > FRESH:
            raise KeyboardInterrupt
        read(self, first, activations)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ImageStream, "read", stopped)
        new_training([30, 29], views=2).fit(tmp_path / "resumed")
    for weight, same in zip(new_training([30, 29], views=2).fit(tmp_path / "resumed"), expected, strict=True):
        np.testing.assert_allclose(weight, same, rtol=1e-5, atol=1e-6)


def test_without_fine_tuning_all_images_train_the_head(new_training: Callable[..., Training]) -> None:
    views = new_training([30, 29], fine_tune_epochs=0).views
    assert views.stream is None and len(views.train.labels) == 59 and views.train.activations is None


@pytest.mark.parametrize(
    ("imbalance", "epochs", "least", "most"),
    # Balanced sampling shows all 6 of the small class, and 34 of the large one in each epoch.
    [("class_weights", 1, 67, 67), ("balanced_sampling", 1, 6 + 34, 6 + 34), ("balanced_sampling", 2, 6 + 35, 6 + 60)],
)
def test_only_images_that_were_shown_are_learnt_from(
    imbalance: str, epochs: int, least: int, most: int, new_training: Callable[..., Training], tmp_path: Path
) -> None:
    training = new_training([61, 6], imbalance=imbalance, head_epochs=epochs, fine_tune_epochs=0)
    fit = training.fit_stages(tmp_path)
    assert int(np.argmin(fit.head["val_loss"])) == epochs - 1
    assert fit.images.available == 67 and least <= fit.images.learnt_from == fit.images.views <= most


@pytest.mark.parametrize("imbalance", ["class_weights", "balanced_sampling"])
def test_images_of_both_stages_and_of_the_stream_are_learnt_from(
    imbalance: str, new_training: Callable[..., Training], tmp_path: Path
) -> None:
    # Of 20 kept images 6 are of the small class; an epoch shows 10 of the 14 others.
    training = new_training([61, 6], imbalance=imbalance, head_epochs=1)
    fit = training.fit_stages(tmp_path)
    assert fit.fine_tune_kept
    in_fine_tuning = int((_shown(training)[0] > 0).sum())
    assert fit.images.available == 67 and in_fine_tuning <= fit.images.learnt_from <= min(67, in_fine_tuning + 10)
    assert fit.images.learnt_from == 67 or imbalance == "balanced_sampling"


def test_a_set_that_is_kept_whole_has_no_stream(new_training: Callable[..., Training]) -> None:
    views = new_training([10, 10]).views
    assert views.stream is None and len(views.train.labels) == KEPT
