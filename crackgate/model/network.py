"""A released network, from pixels to outputs, and its form in OpenVINO."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

import numpy as np

from crackgate.model.inference_requests import InferenceRequests
from crackgate.model.outputs import Outputs, as_outputs, distance, join_outputs

# How far a score of an engine may lie from TensorFlow's.
TOLERANCE = 1e-5


# Waits for the outputs.
Running = Callable[[], Outputs]


class Network(Protocol):
    """From pixels to outputs, by the `engine` "OpenVINO" or "TensorFlow"; any number of threads may ask at once."""

    engine: str

    def start(self, pixels: np.ndarray) -> Running:
        """Begins to examine float32 (images, size, size, 3) in 0 to 255, which may not be changed meanwhile."""


class OpenVinoNetwork:
    """Several images: one request of one image on each core. One image alone: all cores work on it."""

    engine = "OpenVINO"

    def __init__(self, model: Any):
        """Compiles an `openvino.Model` of the shape (1, size, size, 3); raises many types where OpenVINO cannot."""
        self._several = InferenceRequests(model, "THROUGHPUT")
        self._alone = InferenceRequests(model, "LATENCY")
        self._alone_is_taken = threading.Lock()

    def start(self, pixels: np.ndarray) -> Running:
        """See `Network`."""
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


def check_agreement(network: Network, pixels: np.ndarray, expected: Outputs, tolerance: float = TOLERANCE) -> float:
    """Returns how far the network's scores lie from TensorFlow's; raises ValueError where its outputs lie too far.

    Args:
        network: The one to check.
        pixels: float32 (images, size, size, 3), one image or more.
        expected: TensorFlow's outputs for them.
        tolerance: What is allowed for scores.
    """
    # One alone goes another way than several.
    unfamiliarity = expected.unfamiliarity
    alone = Outputs(expected.scores[:1], None if unfamiliarity is None else unfamiliarity[:1])
    return max(
        distance(network.start(pixels)(), expected, tolerance), distance(network.start(pixels[:1])(), alone, tolerance)
    )
