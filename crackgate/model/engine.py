"""The engines under a released model: OpenVINO where its scores agree with TensorFlow's, otherwise TensorFlow."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from crackgate.contracts import stored_example
from crackgate.contracts.model_files import WARMUP_FILE
from crackgate.model.inference_requests import InferenceRequests, import_openvino
from crackgate.model.outputs import Outputs, as_outputs, distance, join_outputs, network_function

log = logging.getLogger("crackgate")

# How far a score may lie from TensorFlow's.
TOLERANCE = 1e-4
# Images that the engines are compared on.
_COMPARED = 8


# Waits for the outputs.
Running = Callable[[], Outputs]


class Network(Protocol):
    """From pixels to outputs, by the `engine` "OpenVINO" or "TensorFlow"; any number of threads may ask at once."""

    engine: str

    def start(self, pixels: np.ndarray) -> Running:
        """Begins to examine float32 (images, size, size, 3) in 0 to 255, which may not be changed meanwhile."""


def build_network(loaded: Any, image_size: int, folder: Path) -> Network:
    """Returns the fastest engine that gives the scores of a released SavedModel; the log says which one.

    The engines are compared on the warm-up requests in the SavedModel's folder.
    """
    reference = _TensorFlowNetwork(loaded)
    if tf.config.list_physical_devices("GPU"):
        return reference
    try:
        network = _OpenVinoNetwork(loaded, image_size)
        pixels = _comparison_images(loaded, image_size, folder)
        # One alone goes another way than several.
        found = join_outputs([network.start(pixels)(), network.start(pixels[:1])()])
        off = distance(found, reference.start(np.concatenate([pixels, pixels[:1]]))(), TOLERANCE)
    # OpenVINO may be missing, or unable to convert the network.
    except Exception as error:
        log.info("the model runs in TensorFlow, which is slower: OpenVINO cannot run it: %s", error)
        return reference
    log.info("the model runs in OpenVINO; its scores differ from TensorFlow's by %.1g at most", off)
    return network


def _comparison_images(loaded: Any, image_size: int, folder: Path) -> np.ndarray:
    """Photographs of the warm-up requests, and synthetic surfaces: float32 (images, size, size, 3)."""
    photographs = list(dict.fromkeys(_warmup_images(folder)))[:_COMPARED]
    random = np.random.default_rng(0)
    synthetic = []
    for grains in np.geomspace(4, image_size, _COMPARED // 2).astype(int):
        grey = random.uniform(0, 255, (grains, grains, 1)).astype(np.float32)
        synthetic.append(tf.image.resize(grey, (image_size, image_size)).numpy().repeat(3, axis=2))
    if photographs:
        synthetic.extend(loaded.decode(tf.constant(photographs))[0].numpy())
    return np.stack(synthetic)


def _warmup_images(folder: Path) -> Iterator[bytes]:
    if not (folder / WARMUP_FILE).is_file():
        return
    from tensorflow_serving.apis import prediction_log_pb2

    for record in tf.data.TFRecordDataset(str(folder / WARMUP_FILE)).as_numpy_iterator():
        inputs = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request.inputs
        if "image_bytes" in inputs:
            yield from inputs["image_bytes"].string_val
        for example in inputs["examples"].string_val if "examples" in inputs else ():
            yield tf.train.Example.FromString(example).features.feature[stored_example.ENCODED].bytes_list.value[0]


class _TensorFlowNetwork:
    engine = "TensorFlow"

    def __init__(self, loaded: Any):
        self._examine = network_function(loaded)

    def start(self, pixels: np.ndarray) -> Running:
        outputs = self._examine(tf.constant(pixels))
        return lambda: as_outputs(outputs)


class _OpenVinoNetwork:
    """Several images: one request of one image on each core. One image alone: all cores work on it."""

    engine = "OpenVINO"

    def __init__(self, loaded: Any, image_size: int):
        """Converts and compiles the network; raises many types where OpenVINO is missing or cannot convert it."""
        network = import_openvino().convert_model(network_function(loaded).concrete_functions[0])
        network.reshape([1, image_size, image_size, 3])
        self._several = InferenceRequests(network, "THROUGHPUT")
        self._alone = InferenceRequests(network, "LATENCY")
        self._alone_is_taken = threading.Lock()

    def start(self, pixels: np.ndarray) -> Running:
        if len(pixels) == 1 and self._alone_is_taken.acquire(blocking=False):
            try:
                outputs = self._alone.infer(pixels, as_outputs)
            finally:
                self._alone_is_taken.release()
            return lambda: outputs
        futures: list[Future[Outputs]] = [
            self._several.submit(pixels[row : row + 1], as_outputs) for row in range(len(pixels))
        ]
        return lambda: join_outputs([future.result() for future in futures])
