"""From a released model's network to TensorFlow Lite, in float32 and in 8-bit integers, and running either."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from crackgate.model.outputs import Outputs, join_outputs
from serving.export.errors import ConversionError
from serving.export.interface import PIXELS, Files, Run, named_function, read_outputs

# A phone gives about so many to one network.
THREADS = 2

_SUFFIX = ".tflite"
_LONGEST_LIST = 3


def convert(loaded: Any, image_size: int) -> Files:
    """Converts a SavedModel's network as it is, in float32, for one image of `image_size` at a time.

    Raises:
        ConversionError: It has an operation that TensorFlow Lite has not.
    """
    return {_SUFFIX: _convert(_converter(loaded, image_size, with_unfamiliarity=True))}


def quantise(loaded: Any, image_size: int, images: np.ndarray) -> Files:
    """Converts the network to 8-bit integers throughout; scores are multiples of 1/256.

    Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference".

    Args:
        loaded: As for `convert`.
        image_size: Likewise.
        images: float32 (images, image_size, image_size, 3) in 0 to 255, like those to come: they set the ranges of all
            values.

    Raises:
        ConversionError: It has an operation that TensorFlow Lite has not, or not for integers.
    """

    def representative() -> Iterator[list[np.ndarray]]:
        for image in images:
            yield [image[np.newaxis]]

    converter = _converter(loaded, image_size, with_unfamiliarity=False)
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
    return {_SUFFIX: content}


def load(files: Files) -> Run:
    """Makes what `convert` or `quantise` gave ready to run, one image after the other, in one thread at a time."""
    run = tf.lite.Interpreter(model_content=files[_SUFFIX], num_threads=THREADS).get_signature_runner()

    def examine(images: Iterable[np.ndarray]) -> Outputs:
        return join_outputs([read_outputs(run(**{PIXELS: image[np.newaxis]})) for image in images])

    return examine


def _converter(loaded: Any, image_size: int, with_unfamiliarity: bool) -> Any:
    network = named_function(loaded, image_size, 1, with_unfamiliarity).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([network], loaded)


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
