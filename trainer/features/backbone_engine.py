"""Engines that run the frozen backbone: OpenVINO on a CPU, otherwise TensorFlow, the reference."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from crackgate.model.inference_requests import InferenceRequests, computes_in_bfloat16, import_openvino
from trainer.network.training_copy import training_copy
from trainer.strategy import on_all_devices

log = logging.getLogger("crackgate")

# Images per inference request: more do not fit a core's cache.
_REQUEST = 4
# Largest difference from TensorFlow's features, as a share of the largest feature.
_TOLERANCE = 1e-3


class Engine(Protocol):
    """A frozen backbone in two parts; the lower part's output is (height, width, channels), `activation_shape`."""

    activation_shape: tuple[int, int, int]
    channels: int

    def start(
        self, images: np.ndarray, activations: np.ndarray | None, features: np.ndarray | None, rough: bool = False
    ) -> None:
        """Begins to compute float32 images (n, size, size, 3) in 0 to 255, which may change after this returns.

        `activations` receives the lower part's output, (n, height, width, channels) of any float type, unless None.
        `features` receives the upper part's, averaged over the picture: float32 (n, channels). The upper part does not
        run where it is None. With `rough`, bfloat16 is enough.
        """

    def finish(self) -> None:
        """Waits for the outputs of every `start`."""


def build_engine(lower: keras.Model, upper: keras.Model) -> Engine:
    """The fastest engine for `lower`, then `upper`, with their present weights; the log says which and why."""
    if tf.config.list_physical_devices("GPU"):
        log.info("the frozen backbone runs in TensorFlow, on the GPU")
        return TensorFlowEngine(lower, upper)
    try:
        engine = OpenVinoEngine(lower, upper)
        _compare(engine, _joined(lower, upper), lower.input_shape[1:])
    # OpenVINO is not installed, or cannot convert the backbone.
    except Exception as error:
        log.info("the frozen backbone runs in TensorFlow, slower: OpenVINO cannot run it: %s", error)
        return TensorFlowEngine(lower, upper)
    log.info("the frozen backbone runs in OpenVINO")
    return engine


class TensorFlowEngine:
    """Runs batches in TensorFlow, on all devices of the strategy in whose scope it is made."""

    def __init__(self, lower: keras.Model, upper: keras.Model):
        self.activation_shape, self.channels = lower.output_shape[1:], upper.output_shape[-1]
        if tf.distribute.has_strategy():
            lower, upper = (training_copy(part, "float32") for part in (lower, upper))
        self._run, self._run_lower = (
            on_all_devices(tf.function(part, reduce_retracing=True, autograph=False))
            for part in (_joined(lower, upper), lambda images: lower(images, training=False))
        )

    def start(
        self,
        images: np.ndarray,
        activations: np.ndarray | None,
        features: np.ndarray | None,
        rough: bool = False,  # noqa: ARG002
    ) -> None:
        """See `Engine`."""
        if features is None:
            cut = self._run_lower(images)
        else:
            cut, features[:] = self._run(images)
        if activations is not None:
            activations[:] = cut

    def finish(self) -> None:
        """See `Engine`: `start` has computed everything."""


class OpenVinoEngine:
    """Runs small requests side by side, one on each core."""

    def __init__(self, lower: keras.Model, upper: keras.Model):
        """Converts and compiles the backbone; raises errors of many types where OpenVINO cannot."""
        openvino = import_openvino()
        self.activation_shape, self.channels = lower.output_shape[1:], upper.output_shape[-1]
        shape = lower.input_shape[1:]
        signature = [tf.TensorSpec([None, *shape], tf.float32)]
        function = tf.function(_joined(lower, upper), input_signature=signature, autograph=False)
        network = openvino.convert_model(function)
        self._request_shape = [_REQUEST, *shape]
        network.reshape(self._request_shape)
        self._network = network
        self._requests: dict[tuple[bool, bool], InferenceRequests] = {}

    def start(
        self, images: np.ndarray, activations: np.ndarray | None, features: np.ndarray | None, rough: bool = False
    ) -> None:
        """See `Engine`; waits only while every request is busy."""
        requests = self._compiled(rough and computes_in_bfloat16(), whole=features is not None)
        for first in range(0, len(images), _REQUEST):
            rows = slice(first, first + _REQUEST)
            # A copy, because the caller may change the images. Black images fill up the last request.
            pixels = np.zeros(self._request_shape, np.float32)
            pixels[: len(images[rows])] = images[rows]
            wanted = [None if array is None else array[rows] for array in (activations, features)]
            requests.start(pixels, _writing(wanted))

    def finish(self) -> None:
        """See `Engine`."""
        for requests in self._requests.values():
            requests.finish()

    def _compiled(self, rough: bool, whole: bool) -> InferenceRequests:
        """The backbone, or its lower part alone, compiled when it is first asked for."""
        if (rough, whole) not in self._requests:
            network = self._network
            if not whole:
                network = import_openvino().Model([network.output(0)], network.get_parameters())
            self._requests[rough, whole] = InferenceRequests(network, "THROUGHPUT", "bf16" if rough else "f32")
        return self._requests[rough, whole]


def _writing(wanted: Sequence[np.ndarray | None]) -> Callable[[Sequence[np.ndarray]], None]:
    def write(outputs: Sequence[np.ndarray]) -> None:
        # The lower part alone has one output.
        for array, output in zip(wanted, outputs, strict=False):
            if array is not None:
                array[:] = output[: len(array)]

    return write


def _joined(lower: keras.Model, upper: keras.Model) -> Any:
    def run(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        cut = lower(images, training=False)
        return cut, tf.reduce_mean(upper(cut, training=False), axis=(1, 2))

    return run


def _compare(engine: Engine, reference: Callable[[tf.Tensor], Any], image: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (_REQUEST, *image)).astype(np.float32)
    features = np.empty((_REQUEST, engine.channels), np.float32)
    engine.start(images, None, features)
    engine.finish()
    # Eagerly: to trace a graph takes twice as long as to compute the batch.
    expected = reference(tf.constant(images))[1].numpy()
    off = float(np.abs(features - expected).max() / np.abs(expected).max())
    if not off <= _TOLERANCE:
        raise ValueError(
            f"its features differ from TensorFlow's by {off:.1g} of the largest, allowed is {_TOLERANCE:g}"
        )
