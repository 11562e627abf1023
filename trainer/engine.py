"""Runs the frozen backbone over images: through OpenVINO on a CPU, otherwise through TensorFlow, the reference.

OpenVINO computes the same network with about half of TensorFlow's work per image (convolution, BatchNorm and
activation in one step, in blocks that fit the caches), and keeps each core busy with batches of its own.
"""

import logging
import queue
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from trainer.strategy import on_all_devices

log = logging.getLogger("crackgate")

# Images per inference request: more no longer fit a core's cache together.
_REQUEST = 4
# How far features may lie from TensorFlow's, as a share of the largest.
_TOLERANCE = 1e-3


class Engine(Protocol):
    """A frozen backbone in two parts, ready to run.

    Attributes:
        activation_shape: (height, width, channels) of the lower part's output.
        channels: Of the upper part's output.
    """

    activation_shape: tuple[int, int, int]
    channels: int

    def start(
        self, images: np.ndarray, activations: np.ndarray | None, features: np.ndarray, rough: bool = False
    ) -> None:
        """Begins to compute what `finish` guarantees to be there.

        Args:
            images: float32 (n, size, size, 3) in 0 to 255; it may be changed once this returns.
            activations: Receives the lower part's output, (n, height, width, channels) of any float type; None where
                nobody wants it.
            features: Receives the upper part's output, averaged over the picture: float32 (n, channels).
            rough: Whether bfloat16 will do, where the CPU computes in it and so in half the time.
        """

    def finish(self) -> None:
        """Waits until everything that was started is computed."""


def build_engine(lower: keras.Model, upper: keras.Model) -> Engine:
    """Returns the fastest engine that computes `lower` and `upper` on this machine; the log says which and why.

    Args:
        lower: Backbone up to the cut.
        upper: Backbone from the cut on. The engine keeps the weights as they are now.
    """
    reference = TensorFlowEngine(lower, upper)
    if tf.config.list_physical_devices("GPU"):
        log.info("the frozen backbone runs in TensorFlow, on the GPU")
        return reference
    try:
        engine = OpenVinoEngine(lower, upper)
        _compare(engine, reference, lower.input_shape[1:])
    # Whatever the backbone has that OpenVINO, if it is there at all, cannot convert.
    except Exception as error:
        log.info("the frozen backbone runs in TensorFlow, slower, for OpenVINO cannot run it: %s", error)
        return reference
    log.info("the frozen backbone runs in OpenVINO")
    return engine


class TensorFlowEngine:
    """Runs one batch after the other in TensorFlow, on all devices of the strategy in whose scope it is made."""

    def __init__(self, lower: keras.Model, upper: keras.Model):
        self.activation_shape, self.channels = lower.output_shape[1:], upper.output_shape[-1]
        self._run = on_all_devices(tf.function(_joined(lower, upper), reduce_retracing=True))

    def start(
        self,
        images: np.ndarray,
        activations: np.ndarray | None,
        features: np.ndarray,
        rough: bool = False,  # noqa: ARG002
    ) -> None:
        """See `Engine`."""
        cut, features[:] = self._run(images)
        if activations is not None:
            activations[:] = cut

    def finish(self) -> None:
        """See `Engine`: nothing is ever under way."""


class OpenVinoEngine:
    """Runs small requests side by side, one on each core."""

    def __init__(self, lower: keras.Model, upper: keras.Model):
        """Converts and compiles the backbone.

        Raises:
            Exception: OpenVINO is not installed, or cannot convert the backbone; of many types.
        """
        openvino = import_openvino()
        self.activation_shape, self.channels = lower.output_shape[1:], upper.output_shape[-1]
        shape = lower.input_shape[1:]
        signature = [tf.TensorSpec([None, *shape], tf.float32)]
        model = openvino.convert_model(tf.function(_joined(lower, upper), input_signature=signature))
        model.reshape([_REQUEST, *shape])
        core = openvino.Core()

        def pool(precision: str) -> _Requests:
            hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
            return _Requests(core.compile_model(model, "CPU", hints))

        self._exact = pool("f32")
        self._rough = pool("bf16") if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else self._exact
        self._padding = np.zeros((_REQUEST, *shape), np.float32)

    def start(
        self, images: np.ndarray, activations: np.ndarray | None, features: np.ndarray, rough: bool = False
    ) -> None:
        """See `Engine`; waits only while every request is taken."""
        requests = self._rough if rough else self._exact
        for first in range(0, len(images), _REQUEST):
            rows = slice(first, first + _REQUEST)
            pixels = images[rows]
            if len(pixels) < _REQUEST:
                pixels = np.concatenate([pixels, self._padding[len(pixels) :]])
            requests.start(pixels, (None if activations is None else activations[rows], features[rows]))

    def finish(self) -> None:
        """See `Engine`."""
        for requests in (self._exact, self._rough):
            requests.finish()


class _Requests:
    """Inference requests side by side, each waited for by a thread of its own.

    Not an AsyncInferQueue: deleting one waits for its threads, which may wait for Python's lock, for ever.
    """

    def __init__(self, compiled: Any):
        at_work = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(at_work):
            self._free.put(compiled.create_infer_request())
        self._threads = ThreadPoolExecutor(at_work, thread_name_prefix="backbone")
        self._under_way: deque[Future[None]] = deque()
        # As many again are ready: the next begins when one ends.
        self._most = 2 * at_work

    def start(self, pixels: np.ndarray, targets: tuple[np.ndarray | None, np.ndarray]) -> None:
        """Waits only while as many as may be are under way; the pixels may be changed once it returns."""
        if len(self._under_way) == self._most:
            self._under_way.popleft().result()
        self._under_way.append(self._threads.submit(self._infer, pixels.copy(), targets))

    def finish(self) -> None:
        while self._under_way:
            self._under_way.popleft().result()

    def _infer(self, pixels: np.ndarray, targets: tuple[np.ndarray | None, np.ndarray]) -> None:
        request = self._free.get()
        try:
            request.infer([pixels], share_inputs=True)
            activations, features = targets
            features[:] = request.get_output_tensor(1).data[: len(features)]
            if activations is not None:
                activations[:] = request.get_output_tensor(0).data[: len(activations)]
        finally:
            self._free.put(request)


def _joined(lower: keras.Model, upper: keras.Model) -> Any:
    def run(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        cut = lower(images, training=False)
        # With mixed precision the parts compute in 16 bits; the average does not.
        features = tf.reduce_mean(tf.cast(upper(cut, training=False), tf.float32), axis=(1, 2))
        return tf.cast(cut, tf.float32), features

    return run


def _compare(engine: Engine, reference: Engine, image: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (_REQUEST, *image)).astype(np.float32)
    features, expected = np.empty((2, _REQUEST, engine.channels), np.float32)
    engine.start(images, None, features)
    engine.finish()
    reference.start(images, None, expected)
    off = float(np.abs(features - expected).max() / np.abs(expected).max())
    if not off <= _TOLERANCE:
        raise ValueError(
            f"its features differ from TensorFlow's by {off:.1g} of the largest, {_TOLERANCE:g} is allowed"
        )


def import_openvino() -> Any:
    """OpenVINO reports its import and every conversion to its maker, unless the package that does it is missing."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
