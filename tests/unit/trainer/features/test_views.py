"""Views: every image's features once and for all, and activations that lead to the same features."""

import logging
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.augmentation.model import build_augmentation
from trainer.features.backbone_engine import build_engine
from trainer.features.views import Views, compute_views
from trainer.network.backbones import split_at_top

COUNT, VIEWS = 10, 3


@pytest.fixture(scope="module")
def backbone(new_toy_backbone: Callable[[], keras.Model]) -> keras.Model:
    return new_toy_backbone()


@pytest.fixture(scope="module")
def images(lined_images: Callable[[int, int], tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    return lined_images(COUNT, 0)[0]


def _compute(
    backbone: keras.Model, images: np.ndarray, views: int = VIEWS, file: Path | None = None, seed: int = 0
) -> Views:
    engine = build_engine(*split_at_top(backbone, 0.4))
    # Labels that show the order; batches of 4, 4 and 2.
    batches = tf.data.Dataset.from_tensor_slices((images, np.arange(len(images)))).batch(4)
    augment = build_augmentation(seed) if views > 1 else None
    return compute_views("train", batches, len(images), lambda: engine, augment, views, file)


@pytest.fixture(scope="module")
def views(backbone: keras.Model, images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Views:
    return _compute(backbone, images, file=tmp_path_factory.mktemp("views") / "activations")


def _pooled(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(inputs, training=False)).mean(axis=(1, 2))


def test_the_first_view_is_the_image_itself(backbone: keras.Model, images: np.ndarray, views: Views) -> None:
    for features, count in ((views.features, VIEWS), (_compute(backbone, images, views=1).features, 1)):
        assert (features.shape, features.dtype) == ((COUNT, count, 6), np.float32)
        np.testing.assert_allclose(features[:, 0], _pooled(backbone, images), rtol=1e-4, atol=1e-6)


def test_the_other_views_differ_from_it_and_from_each_other(views: Views) -> None:
    features = views.features
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(features[:, one] - features[:, other]).max(axis=1).min() > 1e-3


def test_with_more_versions_than_views_batches_take_turns(backbone: keras.Model, images: np.ndarray) -> None:
    engine = build_engine(*split_at_top(backbone, 0.4))
    batches = tf.data.Dataset.from_tensor_slices((images, np.arange(len(images)))).batch(2)
    views = compute_views("train", batches, COUNT, lambda: engine, build_augmentation(0), 1, None, versions=3)
    assert views.features.shape == (COUNT, 1, 6)
    assert views.labels.tolist() == list(range(COUNT))
    off = np.abs(views.features[:, 0] - _pooled(backbone, images)).max(axis=1)
    as_it_is = np.arange(COUNT) // 2 % 3 == 0
    assert off[as_it_is].max() < 1e-4 < 1e-3 < off[~as_it_is].min()


def test_the_seed_decides_the_views_and_without_a_file_only_the_features_are_kept(
    backbone: keras.Model, images: np.ndarray, views: Views
) -> None:
    again, other = (_compute(backbone, images, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(views.features, again.features)
    assert (views.features[:, 1:] != other.features[:, 1:]).any()
    assert again.activations is None


def test_labels_keep_the_order_up_to_the_last_smaller_batch(views: Views) -> None:
    assert views.labels.dtype == np.int64
    assert views.labels.tolist() == list(range(COUNT))


def test_activations_lead_to_the_features_of_every_view(backbone: keras.Model, views: Views) -> None:
    lower, upper = split_at_top(backbone, 0.4)
    assert views.activations is not None
    assert views.activations.dtype == np.float16
    assert views.activations.shape == (COUNT, VIEWS, *lower.output_shape[1:])
    assert isinstance(views.activations, np.memmap)
    for view in range(VIEWS):
        pooled = _pooled(upper, views.activations[:, view].astype(np.float32))
        # As close as float16 brings it.
        np.testing.assert_allclose(pooled, views.features[:, view], rtol=1e-2, atol=1e-3)


def test_says_how_far_it_is(backbone: keras.Model, images: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="crackgate"):
        _compute(backbone, images, views=1)
    messages = [record.getMessage() for record in caplog.records]
    assert messages[-3:] == [f"train images through the backbone: {done} of {COUNT}" for done in (4, 8, 10)]
