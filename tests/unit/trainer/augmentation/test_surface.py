"""Other surfaces: brightness alone changes, some images stay bare, and masonry has joints between its stones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.augmentation.camera import RandomCamera
from trainer.augmentation.random_layer import Draws
from trainer.augmentation.surface import RandomLight, RandomSurface, masonry

SIZE = 64


@pytest.fixture
def draws() -> Draws:
    return Draws(keras.random.SeedGenerator(0), tf.constant(32))


@pytest.mark.parametrize("layer", [RandomSurface(0), RandomLight(0), RandomCamera(0)])
def test_without_training_nothing_happens(layer: keras.layers.Layer) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (3, SIZE, SIZE, 3)).astype(np.float32)
    np.testing.assert_array_equal(layer(images), images)


@pytest.mark.parametrize("layer", [RandomSurface(0), RandomLight(0)])
def test_surface_and_light_leave_the_colour(layer: keras.layers.Layer) -> None:
    # Dark enough that nothing reaches white.
    images = np.broadcast_to(np.float32([4, 3, 2]), (32, SIZE, SIZE, 3))
    changed = layer(images, training=True).numpy()
    assert np.ptp(changed[..., 0]) > 1
    np.testing.assert_allclose(changed / changed[..., :1], images / images[..., :1], rtol=1e-5)


def test_three_in_ten_surfaces_stay_bare() -> None:
    images = np.full((400, 16, 16, 3), 100, np.float32)
    changed = RandomSurface(0)(images, training=True).numpy()
    assert 0.2 < np.mean(np.ptp(changed, axis=(1, 2, 3)) < 1e-3) < 0.4


def test_a_thin_dark_line_fades_on_weak_textures_and_darkens_on_strong_ones() -> None:
    plain = np.full((200, SIZE, SIZE, 3), 60, np.float32)
    cracked = plain.copy()
    cracked[:, :, 31:33] = 45
    # A new layer repeats the draws.
    without, with_crack = (np.log(RandomSurface(0)(images, training=True).numpy()) for images in (plain, cracked))
    depth = (without - with_crack)[:, :, 31:33].mean(axis=(1, 2, 3))
    strength = without.std(axis=(1, 2, 3))
    bare = depth[strength < 1e-3]
    assert bare.max() == pytest.approx(np.log(60 / 45), rel=0.02)
    # Never by more than 0.6 of what is deeper than 0.1.
    assert 0.4 * np.log(60 / 45) < depth.min() < 0.8 * np.log(60 / 45)
    assert depth[strength > 0.3].min() > 1.6 * np.log(60 / 45)
    # Beside the line, nothing changes.
    np.testing.assert_allclose(with_crack[:, :, :30], without[:, :, :30], atol=1e-4)


def test_light_is_even_along_lines() -> None:
    # A gradient and one edge: along both, nothing changes; a texture would change in every direction.
    flat = RandomLight(1)(np.full((16, SIZE, SIZE, 3), 100, np.float32), training=True).numpy()[..., 0]
    jumps = np.abs(np.diff(flat, axis=1)).max(axis=(1, 2))
    assert np.median(jumps) < 3
    assert np.ptp(flat, axis=(1, 2)).min() > 0.5


def test_masonry_has_stones_and_joints_of_their_own_brightness(draws: Draws) -> None:
    walls = masonry(draws, 160).numpy()[..., 0]
    assert walls.shape == (32, 160, 160)
    assert np.abs(walls).max() <= 1.3
    # Flat but for its joints: most steps from place to place are small, the largest are not.
    steps = np.abs(np.diff(walls, axis=2))
    assert np.median(steps.max(axis=(1, 2)) / np.median(steps, axis=(1, 2))) > 10
    assert np.median(steps.max(axis=(1, 2))) > 0.1
    # No two walls are the same.
    assert np.unique(np.round(walls.mean(axis=(1, 2)), 6)).size == 32
