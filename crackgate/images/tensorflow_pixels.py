"""TensorFlow's decoding of a JPEG or PNG file outside of its graphs. Importing this module imports TensorFlow."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2


def tensorflow_pixels(data: bytes, size: tuple[int, int]) -> np.ndarray | None:
    """TensorFlow's pixels, uint8 (height, width, 3); None if it fails or reads a size other than (width, height)."""
    try:
        pixels = _decoder()(data)
    except tf.errors.InvalidArgumentError:
        return None
    return pixels if pixels.shape == (size[1], size[0], 3) else None


@functools.cache
def _decoder() -> Callable[[bytes], np.ndarray]:
    # The session has no GPU: eager TensorFlow would take all GPU memory in every Beam worker.
    with tf.Graph().as_default() as graph:
        encoded = tf.compat.v1.placeholder(tf.string, [])
        # It reads PNG too. This method gives Pillow's pixels; the default is off by a grey level.
        pixels = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    # The calling thread decodes: a thread pool costs a quarter of the decoding time.
    config = tf.compat.v1.ConfigProto(device_count={"GPU": 0}, inter_op_parallelism_threads=-1)
    session = tf.compat.v1.Session(graph=graph, config=config)
    # The public `make_callable` runs all of `Session.run`, which takes half the decoding time.
    options = config_pb2.CallableOptions(feed=[encoded.name], fetch=[pixels.name])
    fetch: Callable[[bytes], list[np.ndarray]] = session._make_callable_from_options(options)
    return lambda data: fetch(data)[0]
