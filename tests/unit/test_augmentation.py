"""Augmentation: other pictures, but still pictures of the same range and shape, and only in training."""

import keras
import numpy as np
import pytest

from trainer.augmentation import augmentation


def _noise(count: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype(np.float32)


def _augment(model: keras.Model, images: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(images, training=True))


@pytest.mark.parametrize("count", [1, 7])
def test_shape_and_type_are_kept(count: int) -> None:
    augmented = _augment(augmentation(0), _noise(count, 40))
    assert (augmented.shape, augmented.dtype) == ((count, 40, 40, 3), np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_the_range_is_kept_for_the_darkest_and_the_brightest_pictures(seed: int) -> None:
    images = np.concatenate([np.zeros((4, 32, 32, 3)), np.full((4, 32, 32, 3), 255), 255 * (_noise(4) > 127)])
    augmented = _augment(augmentation(seed), images.astype(np.float32))
    assert np.isfinite(augmented).all()
    assert augmented.min() >= 0
    assert augmented.max() <= 255


def test_turning_and_zooming_leave_no_empty_corners() -> None:
    # Their edges would look like cracks.
    augmented = _augment(augmentation(0), np.full((16, 32, 32, 3), 150, np.float32))
    assert np.ptp(augmented, axis=(1, 2)).max() < 1e-2


def test_every_image_of_a_batch_changes_in_its_own_way() -> None:
    augmented = _augment(augmentation(0), _noise(1).repeat(8, axis=0))
    distances = np.abs(augmented[:, None] - augmented[None]).mean(axis=(2, 3, 4))
    assert distances[~np.eye(8, dtype=bool)].min() > 1


def test_every_call_changes_the_images_anew() -> None:
    model, images = augmentation(0), _noise(4)
    assert np.abs(_augment(model, images) - _augment(model, images)).mean(axis=(1, 2, 3)).min() > 1


def test_the_seed_decides() -> None:
    images = _noise(4)
    first, again, other = ([_augment(model, images) for _ in range(3)] for model in map(augmentation, (3, 3, 4)))
    np.testing.assert_array_equal(first, again)
    assert np.abs(np.subtract(first, other)).mean() > 1


def test_nothing_changes_outside_training() -> None:
    images = _noise(4)
    np.testing.assert_array_equal(augmentation(0)(images, training=False), images)
