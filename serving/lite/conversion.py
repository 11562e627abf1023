"""From a released model's network to TensorFlow Lite, in float32 and in 8-bit integers, and running either."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from serving.lite.errors import ConversionError

# Names in the files' only signature.
INPUT, OUTPUT = "pixels", "scores"
# A phone gives about so many to one network.
THREADS = 2

_LONGEST_LIST = 3


def convert(loaded: Any, image_size: int) -> bytes:
    """Converts a SavedModel's `score_pixels` as it is, in float32, and returns the file's content.

    It leads from `pixels`, float32 (1, image_size, image_size, 3) in 0 to 255, to `scores`, float32 (1, classes),
    calibrated.

    Raises:
        ConversionError: It has an operation that TensorFlow Lite has not.
    """
    return _convert(_converter(loaded, image_size))


def quantise(loaded: Any, image_size: int, images: Iterable[np.ndarray]) -> bytes:
    """Converts the network to 8-bit integers throughout; scores are multiples of 1/256.

    Input and output are those of `convert`. Source: Jacob et al. 2018, "Quantization and Training of Neural Networks
    for Efficient Integer-Arithmetic-Only Inference".

    Args:
        loaded: As for `convert`.
        image_size: Likewise.
        images: float32 (image_size, image_size, 3) in 0 to 255, like those to come: they set the ranges of all values.

    Raises:
        ConversionError: It has an operation that TensorFlow Lite has not, or not for integers.
    """

    def representative() -> Iterator[list[np.ndarray]]:
        for image in images:
            yield [image[np.newaxis]]

    converter = _converter(loaded, image_size)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    content = _convert(converter)
    # The converter leaves alone what it cannot quantise, and says nothing: a device without floats would.
    if left := _inner_floats(content):
        raise ConversionError(
            f"a part of the network has no 8-bit form in TensorFlow Lite and stays in floating point: "
            f"{', '.join(map(repr, left[:_LONGEST_LIST]))}{', ...' if len(left) > _LONGEST_LIST else ''}"
        )
    return content


class LiteNetwork:
    """A TensorFlow Lite file, ready to run; for one thread at a time."""

    def __init__(self, content: bytes):
        """Takes what `convert` or `quantise` gave."""
        self._run = tf.lite.Interpreter(model_content=content, num_threads=THREADS).get_signature_runner()

    def score(self, pixels: np.ndarray) -> np.ndarray:
        """Scores images one after the other: float32 (images, classes) from pixels of `convert`'s form."""
        return np.concatenate([self._run(**{INPUT: image[np.newaxis]})[OUTPUT] for image in pixels])


def _converter(loaded: Any, image_size: int) -> Any:
    @tf.function(input_signature=[tf.TensorSpec([1, image_size, image_size, 3], tf.float32, name=INPUT)])
    def score(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {OUTPUT: loaded.score_pixels(pixels)}

    return tf.lite.TFLiteConverter.from_concrete_functions([score.get_concrete_function()], loaded)


def _inner_floats(content: bytes) -> list[str]:
    """Names of the float values in the network that are neither its input nor its output."""
    network = tf.lite.Interpreter(model_content=content)
    outside = {tensor["index"] for tensor in (*network.get_input_details(), *network.get_output_details())}
    return [
        tensor["name"]
        for tensor in network.get_tensor_details()
        if np.issubdtype(tensor["dtype"], np.floating) and tensor["index"] not in outside
    ]


def _convert(converter: Any) -> bytes:
    try:
        content: bytes = converter.convert()
    # Python and C++ raise many types here.
    except Exception as error:
        raise ConversionError(f"TensorFlow Lite cannot take this network: {error}") from error
    return content
