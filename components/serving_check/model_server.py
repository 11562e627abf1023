"""The same requests through TensorFlow Serving itself, if it is installed: over REST and over gRPC."""

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from crackgate.contracts import stored_example
from crackgate.contracts.serving_findings import ServingCheckResult

BINARY = "tensorflow_model_server"
_NAME = "crackgate"
_DAMAGED = b"not an image"


def check(model: Path, reference: Path, inputs: dict[str, str], limits: dict[str, Any]) -> list[ServingCheckResult]:
    """Starts the server with the model and compares its scores with those recorded in `reference`.

    `inputs` names each signature's argument; `limits` holds `score_tolerance` and `max_seconds`. Returns two checks,
    REST and gRPC, or one skipped check if `tensorflow_model_server` is not on the PATH.
    """
    name = "TensorFlow Serving"
    binary = shutil.which(BINARY)
    if binary is None:
        return [ServingCheckResult(name=name, outcome="skipped", detail=f"there is no {BINARY} on the PATH")]
    requests, scores = _requests(reference)
    with tempfile.TemporaryDirectory() as folder:
        # The server wants numbered versions.
        (Path(folder) / "1").symlink_to(model, target_is_directory=True)
        grpc_port, rest_port = _free_port(), _free_port()
        log = Path(folder) / "log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                [
                    binary,
                    f"--port={grpc_port}",
                    f"--rest_api_port={rest_port}",
                    f"--model_name={_NAME}",
                    f"--model_base_path={folder}",
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                _wait(server, rest_port, limits["max_seconds"])
                checks = []
                for way, ask in (("REST", _ask_rest), ("gRPC", _ask_grpc)):
                    port = rest_port if way == "REST" else grpc_port
                    checks.append(_compare(f"{name}, {way}", ask, port, inputs, requests, scores, limits))
                return checks
            except _NotServingError as error:
                said = log.read_text(encoding="utf-8", errors="backslashreplace").strip()[-600:]
                return [ServingCheckResult(name=name, outcome="failed", detail=f"{error}: {said}")]
            finally:
                server.kill()
                server.wait()


class _NotServingError(Exception):
    """The server ended or does not start."""


def _requests(reference: Path) -> tuple[dict[str, list[bytes]], np.ndarray]:
    """Requests by signature, and the expected scores; the last row of each is damaged."""
    import tensorflow as tf

    records = list(tf.data.TFRecordDataset([str(reference)], "GZIP").as_numpy_iterator())
    stored = [tf.train.Example.FromString(record).features.feature for record in records]
    images = [feature[stored_example.ENCODED].bytes_list.value[0] for feature in stored]
    scores = np.array([feature[stored_example.REFERENCE_SCORES].float_list.value for feature in stored], np.float32)
    return {"serving_default": [*records, _DAMAGED], "predict_images": [*images, _DAMAGED]}, scores


def _compare(
    name: str,
    ask: Any,
    port: int,
    inputs: dict[str, str],
    requests: dict[str, list[bytes]],
    scores: np.ndarray,
    limits: dict[str, Any],
) -> ServingCheckResult:
    furthest = 0.0
    try:
        for signature, rows in requests.items():
            for batch, wanted in ((rows, scores), (rows[:1], scores[:1])):
                given, errors = ask(port, signature, inputs[signature], batch, limits["max_seconds"])
                furthest = max(furthest, float(np.abs(given[: len(wanted)] - wanted).max()))
                failed = [bool(error) for error in errors]
                if failed != [False] * len(wanted) + [True] * (len(batch) - len(wanted)):
                    return ServingCheckResult(
                        name=name, outcome="failed", detail=f"{signature} gives the errors {errors}"
                    )
    except Exception as error:  # whatever two protocols can raise
        return ServingCheckResult(name=name, outcome="failed", detail=f"{type(error).__name__}: {str(error)[:500]}")
    tolerance = limits["score_tolerance"]
    # `>` would be false for NaN.
    if not furthest <= tolerance:
        detail = f"scores are up to {furthest:.2g} from those recorded at training; allowed are {tolerance:g}"
        return ServingCheckResult(name=name, outcome="failed", detail=detail)
    return ServingCheckResult(name=name, outcome="passed", detail=f"at most {furthest:.1g} from the recorded scores")


def _ask_rest(
    port: int, signature: str, argument: str, rows: list[bytes], seconds: float
) -> tuple[np.ndarray, list[str]]:
    instances = [{argument: {"b64": base64.b64encode(row).decode()}} for row in rows]
    request = urllib.request.Request(
        f"http://localhost:{port}/v1/models/{_NAME}:predict",
        json.dumps({"signature_name": signature, "instances": instances}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=seconds) as response:
            predictions = json.load(response)["predictions"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"status {error.code}: {error.read(500).decode('utf-8', 'backslashreplace')}") from error
    return (
        np.array([row["scores"] for row in predictions], np.float32),
        [row["error"] for row in predictions],
    )


def _ask_grpc(
    port: int, signature: str, argument: str, rows: list[bytes], seconds: float
) -> tuple[np.ndarray, list[str]]:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest(inputs={argument: tf.make_tensor_proto(rows)})
    request.model_spec.name, request.model_spec.signature_name = _NAME, signature
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"localhost:{port}", options=options) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        outputs = service.Predict(request, timeout=seconds).outputs
    errors = [error.decode() for error in tf.make_ndarray(outputs["error"]).tolist()]
    return tf.make_ndarray(outputs["scores"]), errors


def _wait(server: "subprocess.Popen[bytes]", port: int, seconds: float) -> None:
    """Waits until the model is available."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if server.poll() is not None:
            raise _NotServingError(f"the server ended with exit code {server.returncode}")
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/v1/models/{_NAME}", timeout=5) as response:
                states = {version["state"] for version in json.load(response)["model_version_status"]}
            if "AVAILABLE" in states:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise _NotServingError(f"the model was not available after {seconds:g} s (serving_check.max_seconds)")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        port: int = taken.getsockname()[1]
        return port
