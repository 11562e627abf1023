"""Inference requests: every answer is its input's, failures come out, and nothing of OpenVINO outlives its use."""

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest

from crackgate.model.inference_requests import InferenceRequests, import_openvino


def _requests() -> InferenceRequests:
    """They double three numbers."""
    openvino = import_openvino()
    numbers = openvino.opset8.parameter([3], np.float32)
    return InferenceRequests(openvino.Model([openvino.opset8.add(numbers, numbers)], [numbers]), "THROUGHPUT")


def _copy(outputs: Sequence[np.ndarray]) -> np.ndarray:
    return outputs[0].copy()


def _numbers(value: int) -> np.ndarray:
    return np.full(3, value, np.float32)


def test_every_answer_is_that_of_its_input() -> None:
    requests = _requests()
    assert requests.infer(_numbers(4), _copy).tolist() == [8, 8, 8]
    later = [requests.submit(_numbers(value), _copy) for value in range(50)]
    doubled = np.zeros((50, 3), np.float32)
    for value, row in enumerate(doubled):
        requests.start(_numbers(value), lambda outputs, row=row: np.copyto(row, outputs[0]))
    requests.finish()
    expected = [[2 * value] * 3 for value in range(50)]
    assert doubled.tolist() == expected
    assert [future.result().tolist() for future in later] == expected


def test_a_failure_comes_out_and_takes_no_request_away() -> None:
    requests = _requests()
    for _ in range(20):
        requests.start(np.zeros(4, np.float32), _copy)
        with pytest.raises(RuntimeError):
            requests.finish()
    assert requests.infer(_numbers(1), _copy).tolist() == [2, 2, 2]


def _inferring_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("inference")}


def test_the_threads_end_with_the_last_reference() -> None:
    # Other tests in this process may keep networks for longer than this one.
    others = _inferring_threads()
    requests = _requests()
    # Held by a cycle, too, as a part of a Keras model may be.
    cycle: list[object] = [requests]
    cycle.append(cycle)
    requests.submit(_numbers(1), _copy).result()
    own = _inferring_threads() - others
    assert own
    del requests, cycle
    gc.collect()
    deadline = time.monotonic() + 30
    while own & _inferring_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not own & _inferring_threads()


# What is registered first is called last.
_PROGRAM = """
import atexit, threading
atexit.register(lambda: print("threads", threading.active_count(), "requests", kept._free.qsize()))
from tests.unit.crackgate.model.test_inference_requests import _copy, _numbers, _requests
kept = _requests()
futures = [kept.submit(_numbers(value), _copy) for value in range(200)]
"""


def test_a_program_that_ends_leaves_no_thread_and_no_request_to_the_interpreter() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, check=False, timeout=120
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout == b"threads 1 requests 0\n"


_INTERRUPTED = """
import os, signal, threading
from tests.unit.crackgate.model.test_inference_requests import _requests
signal.signal(signal.SIGINT, lambda *_: print("heard"))
kept = [_requests(), _requests()]
for part in range(2):
    thread = threading.Thread(target=kept.pop)
    thread.start()
    thread.join()
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_an_interruption_is_heard_after_all_networks_were_given_up() -> None:
    # In a process of its own: OpenVINO's plug-in used to leave the thread without a stack for signals, and it crashed.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED], env=environment, capture_output=True, check=False, timeout=120
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"heard\nheard\n", b"")
