"""Scaling of an image without TensorFlow, bit for bit as `decoding.decode_image` scales it."""

import functools

import numpy as np
from scipy.sparse import csr_array

# Pixels that are scaled together, in whole columns: 12 MB of float32. They take no longer than more at a time.
_BAND = 1_000_000
# Three float32 at once.
_PIXEL = np.dtype((np.void, 12))


def scale_to_square(pixels: np.ndarray, side: int) -> np.ndarray:
    """Scales an image, uint8 (height, width, 3): bilinear and antialiased, whatever its shape.

    The order of the sums and their precision are those of `tf.image.resize`, so that the results are equal, too.
    Source: TensorFlow's kernel `ScaleAndTranslate` (scale_and_translate_op.cc).

    Returns:
        float32 (side, side, 3).
    """
    height, width, _ = pixels.shape
    weights = _weights(height, side)
    columns = max(1, _BAND // height)
    turned = np.empty((width, side * 3), np.float32)
    for first in range(0, width, columns):
        band = pixels[:, first : first + columns].reshape(height, -1).astype(np.float32)
        turned[first : first + columns] = _turned(weights @ band)
    return _turned(_weights(width, side) @ turned).reshape(side, side, 3)


def _turned(lines: np.ndarray) -> np.ndarray:
    """Lines as columns and columns as lines: (lines, columns * 3) to (columns, lines * 3)."""
    turned = np.ascontiguousarray(np.ascontiguousarray(lines).view(_PIXEL).T)
    return turned.view(np.float32)


# Photographs of a data set have few sizes.
@functools.lru_cache(maxsize=64)
def _weights(inputs: int, outputs: int) -> csr_array:
    """float32 (outputs, inputs), which inputs each output sums; SciPy sums them one after the other, as they stand."""
    zoom = np.float32(1) / (np.float32(outputs) / np.float32(inputs))
    radius = max(zoom, np.float32(1))
    middles = ((np.arange(outputs, dtype=np.float32) + np.float32(0.5)) * zoom)[:, np.newaxis]
    first = np.ceil(middles - radius - np.float32(0.5)).astype(np.int64).clip(0, inputs - 1)
    last = np.floor(middles + radius - np.float32(0.5)).astype(np.int64).clip(0, inputs - 1)
    places = first + np.arange((last - first).max() + 1)
    distances = np.abs((places.astype(np.float32) + np.float32(0.5) - middles) * (np.float32(1) / radius))
    # Outputs at the border sum fewer; the others' weights are 0.
    weights = np.maximum(np.float32(1) - distances, np.float32(0)) * (places <= last)
    # One after the other: `sum` would add them in another order.
    total = functools.reduce(np.add, weights.T)
    weights *= (np.float32(1) / total)[:, np.newaxis]
    starts = np.arange(outputs + 1) * places.shape[1]
    return csr_array((weights.ravel(), places.clip(0, inputs - 1).ravel(), starts), shape=(outputs, inputs))
