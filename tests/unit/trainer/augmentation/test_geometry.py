"""Random geometry: only moves what is there, about the middle, by every angle and its mirror image."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.augmentation.geometry import RandomGeometry

SIZE = 33


def _spot(x: int, y: int, count: int) -> np.ndarray:
    """Images with one bright blur, `x` and `y` pixels from the middle."""
    columns, rows = np.meshgrid(*[np.arange(SIZE) - SIZE // 2] * 2)
    spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4)
    return np.broadcast_to(spot[..., None], (count, SIZE, SIZE, 3)).astype(np.float32)


def _centres(images: tf.Tensor) -> np.ndarray:
    """The brightest places from the middle, (images, 2), x to the right and y down."""
    weights = images.numpy()[..., 0] ** 2
    places = np.arange(SIZE) - SIZE // 2
    totals = weights.sum(axis=(1, 2))
    return np.stack([weights.sum(axis=1) @ places, weights.sum(axis=2) @ places], axis=1) / totals[:, None]


def test_without_training_nothing_happens() -> None:
    images = _spot(5, 0, 2)
    np.testing.assert_array_equal(RandomGeometry(0.2, 0.1, seed=0)(images), images)


def test_the_middle_stays_where_it_is() -> None:
    centres = _centres(RandomGeometry(0.2, 0.1, seed=0)(_spot(0, 0, 40), training=True))
    np.testing.assert_allclose(centres, 0, atol=0.05)


def test_turns_to_every_side_and_keeps_the_distance_but_for_the_zoom() -> None:
    centres = _centres(RandomGeometry(0.2, 0.1, seed=0)(_spot(8, 0, 200), training=True))
    distances, angles = np.hypot(*centres.T), np.arctan2(*centres.T)
    # What is magnified lies further out.
    assert distances.min() == pytest.approx(8 / 1.1, abs=0.4)
    assert distances.max() == pytest.approx(8 / 0.8, abs=0.4)
    assert (np.histogram(angles, bins=8, range=(-np.pi, np.pi))[0] > 10).all()


def test_images_are_magnified_as_often_as_reduced_by_the_same_factor() -> None:
    changed = RandomGeometry(0.5, 1.0, seed=0)(_spot(4, 0, 200), training=True)
    # Without the spots that are mirrored at the border.
    within = np.hypot(*(np.indices((SIZE, SIZE)) - SIZE // 2)) < 11
    distances = np.hypot(*_centres(changed * within[..., None].astype(np.float32)).T)
    assert np.median(distances) == pytest.approx(4, abs=0.3)
    assert distances.max() > 7 > 3 > distances.min()


def test_half_of_the_images_are_mirrored() -> None:
    # Two spots at a right angle: their order around the middle is the image's handedness.
    layer_seed = 3
    first = _centres(RandomGeometry(0.0, 0.0, layer_seed)(_spot(8, 0, 200), training=True))
    second = _centres(RandomGeometry(0.0, 0.0, layer_seed)(_spot(0, 8, 200), training=True))
    turn = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    np.testing.assert_allclose(np.abs(turn), 64, atol=5)
    assert 60 < (turn < 0).sum() < 140


def test_what_comes_in_from_outside_is_the_image_mirrored() -> None:
    images = np.full((20, SIZE, SIZE, 3), 77, np.float32)
    np.testing.assert_allclose(RandomGeometry(0.2, 0.1, seed=0)(images, training=True), 77, atol=1e-3)


def test_the_seed_decides() -> None:
    images = _spot(5, 3, 4)
    one, again, other = (RandomGeometry(0.2, 0.1, seed)(images, training=True).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1
