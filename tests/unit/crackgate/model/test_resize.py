"""Scaling without TensorFlow gives TensorFlow's very values."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from crackgate.model.resize import scale_to_square


def check_equal(height: int, width: int, side: int) -> None:
    pixels = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)
    expected = tf.image.resize(pixels, (side, side), antialias=True).numpy()
    np.testing.assert_array_equal(scale_to_square(pixels, side), expected)


@pytest.mark.parametrize(
    ("height", "width", "side"),
    [
        (227, 227, 160),
        (160, 160, 160),
        (454, 300, 224),
        (32, 33, 160),
        (1, 7, 32),
        (7, 1, 3),
        (1000, 40, 1),
        (1100, 2000, 160),
    ],
)
def test_common_sizes(height: int, width: int, side: int) -> None:
    check_equal(height, width, side)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 300))
def test_any_size(height: int, width: int, side: int) -> None:
    check_equal(height, width, side)


def test_one_colour_stays_that_colour() -> None:
    scaled = scale_to_square(np.full((50, 31, 3), 200, np.uint8), 32)
    assert scaled.shape == (32, 32, 3) and scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, 200, rtol=1e-6)
