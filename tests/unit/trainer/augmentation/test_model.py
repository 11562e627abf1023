"""Augmentation: other pictures, but still pictures of the same range and shape, and only in training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.augmentation.model import build_augmentation


def _noise(count: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype(np.float32)


def _augment(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(images, training=True))


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """For tests that hold whatever it has drawn before."""
    return build_augmentation(0)


@pytest.mark.parametrize("count", [1, 7])
def test_shape_and_type_are_kept(count: int, model: keras.Model) -> None:
    augmented = _augment(model, _noise(count, 40))
    assert (augmented.shape, augmented.dtype) == ((count, 40, 40, 3), np.float32)


def test_the_range_is_kept_for_the_darkest_and_the_brightest_pictures(model: keras.Model) -> None:
    images = np.concatenate([np.zeros((4, 32, 32, 3)), np.full((4, 32, 32, 3), 255), 255 * (_noise(4) > 127)])
    for _ in range(5):
        augmented = _augment(model, images.astype(np.float32))
        assert np.isfinite(augmented).all()
        assert augmented.min() >= 0
        assert augmented.max() <= 255


def test_every_image_of_a_batch_changes_in_its_own_way(model: keras.Model) -> None:
    augmented = _augment(model, _noise(1).repeat(8, axis=0))
    distances = np.abs(augmented[:, None] - augmented[None]).mean(axis=(2, 3, 4))
    assert distances[~np.eye(8, dtype=bool)].min() > 1


def test_every_call_changes_the_images_anew(model: keras.Model) -> None:
    images = _noise(4)
    assert np.abs(_augment(model, images) - _augment(model, images)).mean(axis=(1, 2, 3)).min() > 1


def test_the_seed_decides() -> None:
    images = _noise(4)
    first, again, other = ([_augment(model, images) for _ in range(3)] for model in map(build_augmentation, (3, 3, 4)))
    np.testing.assert_array_equal(first, again)
    assert np.abs(np.subtract(first, other)).mean() > 1


def test_nothing_changes_outside_training(model: keras.Model) -> None:
    images = _noise(4)
    np.testing.assert_array_equal(model(images, training=False), images)


def test_a_graph_draws_what_eager_calls_draw() -> None:
    images, eager, model = _noise(4), build_augmentation(7), build_augmentation(7)
    graph = tf.function(lambda batch: model(batch, training=True))
    for _ in range(2):
        # XLA aside, only the order of float operations differs; JPEG rounds such a difference up to a few grey levels.
        np.testing.assert_allclose(graph(images), _augment(eager, images), atol=8)


def test_a_last_smaller_batch_is_drawn_for_as_well(model: keras.Model) -> None:
    graph = tf.function(lambda batch: model(batch, training=True), reduce_retracing=True)
    assert [len(graph(_noise(count))) for count in (8, 8, 3)] == [8, 8, 3]


def test_cracks_stay_where_a_person_sees_them() -> None:
    # Without the geometry, what was dark and thin is darker than beside it in nearly every version.
    images = np.full((64, 64, 64, 3), 160, np.float32)
    images[:, :, 31:33] = 50
    for layer in build_augmentation(0).layers[1:]:
        images = layer(images, training=True)
    grey = keras.ops.convert_to_numpy(images).mean(axis=(1, 3))
    beside = np.concatenate([grey[:, 22:28], grey[:, 36:42]], axis=1).mean(axis=1)
    assert np.mean(grey[:, 31:33].mean(axis=1) < beside - 5) > 0.95


def test_without_other_surfaces_a_plain_surface_gets_no_pattern() -> None:
    # What light leaves of a uniform picture is smooth: a joint of masonry is no larger than its light.
    plain, patterned = (
        keras.Sequential(build_augmentation(0, other_surfaces).layers[:-2]) for other_surfaces in (False, True)
    )
    images = np.full((32, 64, 64, 3), 100, np.float32)
    smooth, rough = (np.abs(np.diff(_augment(model, images), axis=1)) for model in (plain, patterned))
    assert np.median(smooth.mean(axis=(1, 2, 3))) < 1 < np.median(rough.mean(axis=(1, 2, 3)))
