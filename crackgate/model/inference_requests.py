"""One network compiled by OpenVINO, and its requests side by side on all cores."""

import functools
import queue
import sys
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, TypeVar

import numpy as np

Read = TypeVar("Read")


class InferenceRequests:
    """Requests of one network, each waited for by a thread of its own.

    Threads, requests and network go with the last reference to this, at the latest before the interpreter ends.
    """

    def __init__(self, network: Any, hint: Literal["THROUGHPUT", "LATENCY"], precision: Literal["f32", "bf16"] = "f32"):
        """Compiles the network; raises many types where OpenVINO cannot.

        Args:
            network: An `openvino.Model` of a fixed shape, with one input.
            hint: Many requests, each on a part of the cores; or one on all of them.
            precision: To compute in.
        """
        hints = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": precision}
        compiled = openvino_core().compile_model(network, "CPU", hints)
        at_once = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(at_once):
            self._free.put(compiled.create_infer_request())
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="inference")
        self._under_way: deque[Future[None]] = deque()
        # As many again wait, so that the next begins when one ends; more would only take memory.
        self._most = 2 * at_once
        weakref.finalize(self, _end, self._threads, self._free)
        # OpenVINO's bindings set NumPy up with the first array that they see; two threads at once, one with Python's
        # lock and one with that of the setting up, would wait for each other for ever.
        _infer(self._free, np.zeros([*network.input(0).shape], network.input(0).element_type.to_dtype()), len)

    def infer(self, values: np.ndarray, read: Callable[[Sequence[np.ndarray]], Read]) -> Read:
        """Computes in the caller's thread and returns `read`'s result; any number of threads may ask at once.

        Args:
            values: The network's input, of its shape and type; it may not be changed meanwhile.
            read: Receives the network's outputs, which are there until it returns; copy what is kept.
        """
        return _infer(self._free, values, read)

    def submit(self, values: np.ndarray, read: Callable[[Sequence[np.ndarray]], Read]) -> "Future[Read]":
        """The same, later, in another thread; it never waits."""
        return self._threads.submit(_infer, self._free, values, read)

    def start(self, values: np.ndarray, read: Callable[[Sequence[np.ndarray]], None]) -> None:
        """The same; waits while all cores are busy. `finish` raises what failed."""
        if len(self._under_way) == self._most:
            self._under_way.popleft().result()
        self._under_way.append(self.submit(values, read))

    def finish(self) -> None:
        """Waits until everything that was started is computed."""
        while self._under_way:
            self._under_way.popleft().result()


def import_openvino() -> Any:
    """OpenVINO reports its import and every conversion to its maker, unless the package that does it is missing."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


@functools.cache
def openvino_core() -> Any:
    """The `openvino.Core` of this process, kept for ever: docs/decisions/0003 says why."""
    return import_openvino().Core()


def computes_in_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16, in about half of float32's time; False where OpenVINO cannot say."""
    try:
        return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except ImportError:
        return False


def _infer(free: "queue.SimpleQueue[Any]", values: np.ndarray, read: Callable[[Sequence[np.ndarray]], Read]) -> Read:
    request = free.get()
    try:
        request.infer([values], share_inputs=True)
        return read([tensor.data for tensor in request.output_tensors])
    finally:
        free.put(request)


def _end(threads: ThreadPoolExecutor, free: "queue.SimpleQueue[Any]") -> None:
    # Without waiting: garbage may be collected in one of these threads.
    threads.shutdown(wait=False)
    while not free.empty():
        free.get_nowait()
