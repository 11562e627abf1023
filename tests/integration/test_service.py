"""`crackgate serve` as its clients see it: a real process, asked over real connections."""

import base64
import concurrent.futures
import io
import json
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from driven_browser import Page, driven_browser
from google.protobuf import json_format
from PIL import Image
from service_process import ROOT, Service, running_service
from toy_release import CLASSES, SIZE, release

from components import features

_LIMITS = ["--max-queue", "64", "--max-batch", "8", "--max-request-mib", "4", "--client-timeout", "3"]
_PREDICT = "/v1/models/crackgate:predict"


def encoded(grey: int, kind: str = "PNG", size: int = SIZE) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), (grey, grey, grey)).save(file, kind)
    return file.getvalue()


DARK, LIGHT = encoded(10), encoded(245)


def b64(content: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(content).decode()}


def example(content: bytes) -> bytes:
    import tensorflow as tf

    value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
    serialized: bytes = tf.train.Example(
        features=tf.train.Features(feature={features.ENCODED: value})
    ).SerializeToString()
    return serialized


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 black pixels in a few hundred bytes of header and data."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
        + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="session")
def serving_dir(toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A serving directory with one version."""
    folder = tmp_path_factory.mktemp("releases") / "serving"
    release(toy_model, folder)
    return folder


@pytest.fixture(scope="session")
def service(serving_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with narrow limits."""
    with running_service(
        tmp_path_factory.mktemp("service"), "--serving-dir", str(serving_dir), "--grpc-port", "0", *_LIMITS
    ) as running:
        running.wait_until(ready=True, version=newest(serving_dir))
        yield running


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser's page."""
    with driven_browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="session")
def empty_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that wants a token, and has no model to load."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "serving").mkdir()
    arguments = ["--serving-dir", str(folder / "serving"), "--token-env", "TOKEN"]
    with running_service(folder, *arguments, TOKEN="0123456789abcdef") as running:
        yield running


def newest(serving_dir: Path) -> int:
    return max(int(folder.name) for folder in serving_dir.iterdir() if folder.name.isdecimal())


def predict(service: Service, body: Any, path: str = _PREDICT) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(f"{service.url}{path}", content=content, timeout=30)


def is_answering(service: Service) -> bool:
    return predict(service, {"signature_name": "predict_images", "instances": [b64(DARK)]}).status_code == 200


# TensorFlow Serving's interface.


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"instances": [b64(DARK), b64(LIGHT)]}, "predictions"),
        ({"instances": [{"image_bytes": b64(DARK)}, {"image_bytes": b64(LIGHT)}]}, "predictions"),
        ({"inputs": [b64(DARK), b64(LIGHT)]}, "outputs"),
        ({"inputs": {"image_bytes": [b64(DARK), b64(LIGHT)]}}, "outputs"),
    ],
)
def test_rows_and_columns(service: Service, serving_dir: Path, body: dict[str, Any], key: str) -> None:
    answer = predict(service, {"signature_name": "predict_images", **body}).raise_for_status().json()
    assert answer.keys() == {key}
    columns = answer[key]
    if key == "predictions":
        columns = {name: [row[name] for row in columns] for name in columns[0]}
    assert columns["label"] == ["Positive", "Negative"]
    assert columns["is_positive"] == [True, False]
    assert columns["error"] == ["", ""]
    assert columns["model_version"] == [str(newest(serving_dir))] * 2
    assert [len(row) for row in columns["scores"]] == [len(CLASSES)] * 2
    assert columns["probability"] == [max(row) for row in columns["scores"]]
    assert min(columns["probability"]) > 0.9


def test_examples_are_the_default_signature(service: Service) -> None:
    of_examples = predict(service, {"instances": [b64(example(DARK)), b64(example(LIGHT))]}).json()
    of_images = predict(service, {"signature_name": "predict_images", "instances": [b64(DARK), b64(LIGHT)]}).json()
    assert of_examples == of_images


def test_the_answers_are_those_of_the_saved_model(service: Service, serving_dir: Path) -> None:
    import tensorflow as tf

    images = [DARK, encoded(120, "JPEG"), b"no image", LIGHT, encoded(133, "JPEG", 200)]
    loaded = tf.saved_model.load(str(serving_dir / str(newest(serving_dir))))
    outputs = loaded.signatures["predict_images"](image_bytes=tf.constant(images))
    answer = predict(service, {"signature_name": "predict_images", "inputs": [b64(image) for image in images]})
    columns = answer.raise_for_status().json()["outputs"]
    assert columns.keys() == outputs.keys()
    for name, value in outputs.items():
        expected = value.numpy()
        if value.dtype == tf.float32:
            assert columns[name] == pytest.approx(expected.tolist(), abs=1e-4) if expected.ndim == 1 else True
            assert [list(map(float, row)) for row in columns["scores"]] == [
                pytest.approx(row, abs=1e-4) for row in outputs["scores"].numpy().tolist()
            ]
        else:
            texts = [text.decode() if isinstance(text, bytes) else text for text in expected.tolist()]
            assert columns[name] == texts


def test_status_and_metadata_are_tensorflow_servings_protos(service: Service, serving_dir: Path) -> None:
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

    version = newest(serving_dir)
    for path in ("/v1/models/crackgate", f"/v1/models/crackgate/versions/{version}"):
        text = httpx.get(f"{service.url}{path}").raise_for_status().text
        status = json_format.Parse(text, get_model_status_pb2.GetModelStatusResponse())
        entry = next(entry for entry in status.model_version_status if entry.version == version)
        assert entry.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
        assert json.loads(text)["model_version_status"][0]["status"] == {"error_code": "OK", "error_message": ""}
    for path in ("/v1/models/crackgate/metadata", f"/v1/models/crackgate/versions/{version}/metadata"):
        content = httpx.get(f"{service.url}{path}").raise_for_status().json()
        spec = json_format.ParseDict(content["model_spec"], model_pb2.ModelSpec())
        assert (spec.name, spec.version.value) == ("crackgate", version)
        signatures = json_format.ParseDict(
            content["metadata"]["signature_def"], get_model_metadata_pb2.SignatureDefMap()
        ).signature_def
        assert signatures["predict_images"].inputs["image_bytes"].dtype == 7  # DT_STRING
        answer = predict(service, {"signature_name": "predict_images", "instances": [b64(DARK)]}).json()
        assert answer["predictions"][0].keys() == signatures["predict_images"].outputs.keys()


def test_grpc_is_tensorflow_servings(service: Service, serving_dir: Path) -> None:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    version = newest(serving_dir)
    with grpc.insecure_channel(service.grpc) as channel:
        predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = predict_pb2.PredictRequest(inputs={"image_bytes": tf.make_tensor_proto([DARK, b"none", LIGHT])})
        request.model_spec.name, request.model_spec.signature_name = "crackgate", "predict_images"
        response = predictions.Predict(request, timeout=30)
        outputs = {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
        assert outputs["label"].tolist() == [b"Positive", b"", b"Negative"]
        assert outputs["scores"].shape == (3, len(CLASSES))
        assert outputs["is_positive"].dtype == bool
        assert response.model_spec.version.value == version
        of_rest = predict(service, {"signature_name": "predict_images", "inputs": [b64(DARK), b64(b""), b64(LIGHT)]})
        assert outputs["probability"].tolist() == pytest.approx(of_rest.json()["outputs"]["probability"], abs=1e-6)

        examples = predict_pb2.PredictRequest(inputs={"examples": tf.make_tensor_proto([example(DARK)])})
        examples.model_spec.name = "crackgate"
        examples.model_spec.version.value = version
        examples.output_filter.append("label")
        assert predictions.Predict(examples, timeout=30).outputs.keys() == {"label"}

        metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        metadata.model_spec.name = "crackgate"
        signatures = get_model_metadata_pb2.SignatureDefMap()
        predictions.GetModelMetadata(metadata, timeout=30).metadata["signature_def"].Unpack(signatures)
        assert signatures.signature_def["predict_images"].outputs.keys() == outputs.keys()

        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.name = "crackgate"
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        assert stub.GetModelStatus(status, timeout=30).model_version_status[0].state == 30  # AVAILABLE

        def refusal(change: Any) -> grpc.StatusCode:
            wrong = predict_pb2.PredictRequest()
            wrong.CopyFrom(request)
            change(wrong)
            with pytest.raises(grpc.RpcError) as raised:
                predictions.Predict(wrong, timeout=30)
            return raised.value.code()  # type: ignore[attr-defined]

        large = tf.make_tensor_proto([b" " * (5 * 2**20)])
        several = tf.make_tensor_proto([[DARK]])
        codes = grpc.StatusCode
        assert refusal(lambda wrong: setattr(wrong.model_spec, "name", "other")) == codes.NOT_FOUND
        assert refusal(lambda wrong: setattr(wrong.model_spec.version, "value", 5)) == codes.NOT_FOUND
        assert refusal(lambda wrong: setattr(wrong.model_spec, "signature_name", "x")) == codes.INVALID_ARGUMENT
        assert refusal(lambda wrong: wrong.output_filter.append("x")) == codes.INVALID_ARGUMENT
        assert refusal(lambda wrong: wrong.inputs["image_bytes"].CopyFrom(several)) == codes.INVALID_ARGUMENT
        assert refusal(lambda wrong: wrong.inputs["image_bytes"].CopyFrom(large)) == codes.RESOURCE_EXHAUSTED


def test_base64_is_decoded_once(service: Service) -> None:
    twice = base64.b64encode(DARK)
    (row,) = predict(service, {"signature_name": "predict_images", "instances": [b64(twice)]}).json()["predictions"]
    assert row["label"] == ""
    assert row["error"]


def test_an_empty_column_has_an_empty_answer(service: Service) -> None:
    outputs = predict(service, {"signature_name": "predict_images", "inputs": []}).json()["outputs"]
    assert outputs.keys() > {"label", "scores"}
    assert not any(outputs.values())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models/other", 404),
        ("GET", "/v1/models/crackgate/versions/5", 404),
        ("GET", "/v1/models/crackgate/versions/five", 400),
        ("GET", "/v1/models/crackgate/versions/5/metadata", 404),
        ("POST", "/v1/models/crackgate/versions/5:predict", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("POST", "/v1/models/crackgate:regress", 400),
        ("GET", "/v1/models/crackgate:predict/x", 400),
        ("DELETE", "/v1/models/crackgate", 400),
        ("GET", "/nowhere", 404),
        ("POST", "/healthz", 405),
    ],
)
def test_wrong_paths(service: Service, method: str, path: str, status: int) -> None:
    body = json.dumps({"instances": [b64(DARK)]})
    response = httpx.request(method, f"{service.url}{path}", content=body)
    assert response.status_code == status
    assert response.json().keys() == {"error"}


def test_a_version_can_be_asked_for(service: Service, serving_dir: Path) -> None:
    path = f"/v1/models/crackgate/versions/{newest(serving_dir)}:predict"
    assert predict(service, {"instances": [b64(example(DARK))]}, path).json()["predictions"][0]["label"] == "Positive"


# Hostile requests.


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "JSON Parse error"),
        (b"{", "JSON Parse error"),
        (b"\xff\xfe", "JSON Parse error"),
        (b"[1]", "is not an object"),
        (b"{}", "exactly one of"),
        ({"instances": [b64(DARK)], "inputs": [b64(DARK)]}, "exactly one of"),
        ({"instances": []}, "at least one value"),
        ({"instances": 3}, "must be a list"),
        ({"instances": [3]}, "received 3"),
        ({"instances": [None]}, "received null"),
        ({"instances": [[b64(DARK)]]}, "element 0"),
        ({"instances": [b64(DARK), {"examples": b64(DARK)}]}, "element 1"),
        ({"instances": [{"wrong": b64(DARK)}]}, "keys must be equal to: examples"),
        ({"inputs": {"wrong": [b64(DARK)]}}, "Missing named input: examples"),
        ({"inputs": b64(DARK)}, "must be a list"),
        ({"instances": [{"b64": "@@@"}]}, "Unable to base64 decode"),
        ({"instances": [{"b64": "A"}]}, "Unable to base64 decode"),
        ({"instances": [{"b64": 3}]}, "keys must be equal"),
        ({"signature_name": "none", "instances": [b64(DARK)]}, '"none" not found'),
        ({"signature_name": 3, "instances": [b64(DARK)]}, "must be a string"),
        ({"signature_name": "__saved_model_init_op", "instances": [b64(DARK)]}, "not found"),
        (b"[" * 1_000_000, "too many or too deep"),
        (b'{"instances":' * 150, "JSON Parse error"),
        ({"instances": [b64(b"x")] * 65}, "at most 64"),
        (b'{"instances": [' + b"9" * 5000 + b"]}", "JSON"),
    ],
)
def test_malformed_requests_are_explained(service: Service, body: Any, said: str) -> None:
    response = predict(service, body)
    assert response.status_code == 400
    assert said in response.json()["error"]
    assert len(response.content) < 1000


def test_bad_images_do_not_harm_the_others(service: Service) -> None:
    torn = encoded(10, "JPEG", 64)[:-80]
    images = [DARK, bomb(), b"", b"\x00" * 100, torn, LIGHT]
    instances = [b64(image) for image in images]
    rows = predict(service, {"signature_name": "predict_images", "instances": instances}).json()["predictions"]
    assert [row["label"] for row in rows] == ["Positive", "", "", "", "", "Negative"]
    assert [bool(row["error"]) for row in rows] == [False, True, True, True, True, False]
    assert "too large" in rows[1]["error"]
    # What could not be looked at is not waved through.
    assert all(row["is_positive"] and row["scores"] == [0, 0] for row in rows[1:5])
    mixed = predict(service, {"instances": [b64(example(DARK)), b64(b"no example"), b64(example(b"no image"))]})
    assert [bool(row["error"]) for row in mixed.json()["predictions"]] == [False, True, True]


def test_large_bodies_are_refused(service: Service) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 2**20

    announced = httpx.post(f"{service.url}{_PREDICT}", content=b" " * (100 * 2**20))
    unannounced = httpx.post(f"{service.url}{_PREDICT}", content=endless())
    for response in (announced, unannounced):
        assert response.status_code == 413
        assert "at most 4194304 bytes" in response.json()["error"]
    assert is_answering(service)


def test_slow_clients_are_given_up(service: Service) -> None:
    def ask(sent: bytes, drop: bytes) -> bytes:
        """Sends a beginning at once, and goes on one byte at a time."""
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
            connection.sendall(sent)
            connection.settimeout(0.2)
            for _ in range(100):
                try:
                    connection.sendall(drop)
                    return connection.recv(1000)
                except TimeoutError:
                    continue
                except OSError:
                    return b""
        raise AssertionError("the service goes on waiting")

    head = f"POST {_PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode()
    with concurrent.futures.ThreadPoolExecutor() as threads:
        slow_head = threads.submit(ask, b"GET /healthz HTTP/1.1\r\nX-Slow: ", b"a")
        silent = threads.submit(ask, b"", b"")
        slow_body = threads.submit(ask, head, b" ")
        assert is_answering(service)
        assert b" 408 " in slow_body.result()
        assert b" 408 " in slow_head.result()
        assert b" 408 " in silent.result()


def test_endless_headers_are_refused(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: ")
        received = b""
        try:
            for _ in range(100):
                connection.sendall(b"a" * 8192)
            received = connection.recv(1000)
        except OSError:
            pass  # It closes the connection while we still write.
    assert received == b"" or b" 431 " in received
    assert is_answering(service)


def test_a_client_may_close_its_half(service: Service) -> None:
    body = json.dumps({"signature_name": "predict_images", "instances": [b64(DARK)]}).encode()
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(
            f"POST {_PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b'"Positive"' in received


def test_clients_that_vanish_leave_nothing_behind(service: Service) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(f"POST {_PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc".encode())
    assert is_answering(service)
    assert metric(service, "crackgate_buffered_bytes") == 0


def test_overload_is_turned_away(service: Service) -> None:
    body = json.dumps({"signature_name": "predict_images", "instances": [b64(encoded(10, "JPEG", 256))] * 60}).encode()
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        responses = list(threads.map(lambda _: predict(service, body), range(48)))
    statuses = {response.status_code for response in responses}
    assert statuses == {200, 429}
    refused = next(response for response in responses if response.status_code == 429)
    assert refused.headers["retry-after"] == "1"
    assert "may wait" in refused.json()["error"]
    assert is_answering(service)
    assert metric(service, 'crackgate_rejected_total{reason="too_busy"}') > 0


# Versions come and go.


def test_a_new_version_takes_over_without_a_failed_request(
    service: Service, serving_dir: Path, toy_model: Path, tmp_path: Path
) -> None:
    first = newest(serving_dir)
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"signature_name": "predict_images", "instances": [b64(DARK)] * 3}))
    load = subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "tests/integration/load.py"),
            "127.0.0.1",
            str(service.port),
            _PREDICT,
            "3",
            str(body),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert load.stdout is not None
    load.stdout.readline()
    second = release(toy_model, serving_dir)
    service.wait_until(ready=True, version=second)

    # A version that is not what was released is refused, and the one before it goes on.
    bad = release(toy_model, tmp_path / "elsewhere") + 1000
    shutil.copytree(next((tmp_path / "elsewhere").glob("[0-9]*")), tmp_path / "bad")
    manifest = json.loads((tmp_path / "bad" / "manifest.json").read_text())
    (tmp_path / "bad" / "manifest.json").write_text(json.dumps({**manifest, "version": bad}))
    graph = bytearray((tmp_path / "bad" / "saved_model.pb").read_bytes())
    graph[len(graph) // 2] ^= 1
    (tmp_path / "bad" / "saved_model.pb").write_bytes(graph)
    (tmp_path / "bad").rename(serving_dir / str(bad))
    state = service.wait_until(ready=True, version=second, refused=bad)
    assert "saved_model.pb was altered" in str(state)
    assert f"version {bad} is refused, and version {second} goes on" in service.log.read_text()
    statuses = httpx.get(f"{service.url}/v1/models/crackgate").json()["model_version_status"]
    assert [(entry["version"], entry["state"]) for entry in statuses] == [
        (str(bad), "END"),
        (str(second), "AVAILABLE"),
        (str(first), "END"),
    ]
    assert "altered" in statuses[0]["status"]["error_message"]
    assert metric(service, "crackgate_model_refused_version") == bad
    shutil.rmtree(serving_dir / str(bad))

    # A rollback, too, takes the newer version out of the way.
    from components.serving_directory import roll_back

    roll_back(serving_dir, None, "a test", "to see")
    service.wait_until(ready=True, version=first)
    assert load.stdin is not None
    output, _ = load.communicate("", timeout=60)
    counted = json.loads(output)
    assert counted["failures"] == []
    assert counted["statuses"].keys() == {"200"}
    assert counted["versions"] == [str(first), str(second)]


# Who may ask, and what is seen of it.


def metrics(service: Service) -> list[str]:
    return httpx.get(f"{service.url}/metrics").raise_for_status().text.splitlines()


def metric(service: Service, name: str) -> float:
    return next((float(line.rpartition(" ")[2]) for line in metrics(service) if line.startswith(f"{name} ")), 0.0)


def test_metrics_count_what_happens(service: Service) -> None:
    counted = 'crackgate_requests_total{code="200",interface="http",method="predict"}'
    before, images = metric(service, counted), metric(service, 'crackgate_images_total{outcome="scored"}')
    assert is_answering(service)
    assert metric(service, counted) == before + 1
    assert metric(service, 'crackgate_images_total{outcome="scored"}') == images + 1
    assert metric(service, "crackgate_batch_images_count") > 0
    assert metric(service, "crackgate_queued_images") == 0
    assert metric(service, 'crackgate_request_seconds_count{interface="http",method="predict"}') >= before + 1


def test_the_log_tells_requests_and_no_images(service: Service) -> None:
    httpx.get(f"{service.url}/v1/models/a%0Ab%22?secret=1")
    assert is_answering(service)
    time.sleep(0.1)
    log = service.log.read_text()
    assert f"POST {_PREDICT} 200" in log
    assert "GET /v1/models/a%0Ab%22 404" in log
    assert "secret" not in log
    assert base64.b64encode(DARK).decode()[:20] not in log


def test_the_token(empty_service: Service) -> None:
    def status(path: str, **headers: str) -> int:
        return httpx.get(f"{empty_service.url}{path}", headers=headers).status_code

    assert status("/metrics") == 401
    assert status("/metrics", Authorization="Bearer 0123456789abcdeX") == 401
    assert status("/metrics", Authorization="Basic 0123456789abcdef") == 401
    assert status("/metrics", Authorization="Bearer 0123456789abcdef") == 200
    assert status("/metrics", Authorization="bearer 0123456789abcdef") == 200
    assert status("/v1/models/crackgate") == 401
    assert status("/nowhere") == 401
    assert status("/healthz") == 200
    assert status("/readyz") == 503
    assert status("/") == 200
    refused = httpx.post(f"{empty_service.url}{_PREDICT}", content=b"{}")
    assert refused.headers["www-authenticate"] == "Bearer"
    ready = httpx.post(
        f"{empty_service.url}{_PREDICT}", content=b"{}", headers={"Authorization": "Bearer 0123456789abcdef"}
    )
    assert ready.status_code == 503
    assert "no version is ready" in ready.json()["error"]
    assert "0123456789abcdef" not in empty_service.log.read_text()


def test_a_request_under_way_is_answered_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "serving").mkdir()
    with (
        running_service(tmp_path, "--serving-dir", str(tmp_path / "serving")) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=30) as connection,
    ):
        connection.sendall(f"POST {_PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{".encode())
        time.sleep(0.3)
        running.process.terminate()
        time.sleep(0.3)
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", running.port), timeout=5):
            pass
        connection.sendall(b"}")
        assert connection.recv(1000).startswith(b"HTTP/1.1 503 ")


# The page.


@pytest.mark.parametrize(("width", "dark"), [(1000, False), (1000, True), (340, False)])
def test_the_page_shows_where(service: Service, page: Page, tmp_path: Path, width: int, dark: bool) -> None:
    photograph = np.full((480, 720, 3), 230, np.uint8)
    photograph[:, 400:] = 20
    Image.fromarray(photograph).save(tmp_path / "wall.jpg")
    page.look(width, dark)
    page.open(f"{service.url}/")
    page.choose_file("#file", tmp_path / "wall.jpg")
    page.wait_for("!document.getElementById('result').hidden")
    page.take_picture(tmp_path / "page.png")
    # Whatever it is as a whole, its places decide.
    verdict = page.evaluate("document.getElementById('verdict').textContent")
    assert re.fullmatch(r"Positive in [1-9]\d* of \d+ places", verdict)
    places = page.evaluate("document.getElementById('places').textContent")
    assert "places reach the threshold of Positive, 50.0 %" in places
    assert page.evaluate("document.getElementById('heat').getAttribute('aria-label')") == f"Heat map: {places}"
    assert page.evaluate("document.activeElement.id") == "verdict"
    # Red on the right, where it is dark, and nothing on the left.
    row = "document.getElementById('heat').getContext('2d').getImageData(0, 200, 720, 1).data"
    left, right = page.evaluate(f"(row => [row[4 * 20 + 3], row[4 * 680 + 3]])({row})")
    assert left < 10
    assert right > 150
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")
    assert page.console == []
    asked = [url for url in page.asked if not url.startswith(("blob:", "data:"))]
    assert asked
    assert all(url.startswith(f"{service.url}/") for url in asked)


def test_the_page_says_what_went_wrong(service: Service, page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photograph")
    page.open(f"{service.url}/")
    page.choose_file("#file", tmp_path / "notes.txt")
    page.wait_for("document.getElementById('problem').textContent")
    assert "not an image" in page.evaluate("document.getElementById('problem').textContent")
    assert page.evaluate("document.getElementById('result').hidden")


def test_the_page_asks_for_the_token(empty_service: Service, page: Page, tmp_path: Path) -> None:
    (tmp_path / "wall.png").write_bytes(DARK)
    page.open(f"{empty_service.url}/")
    page.choose_file("#file", tmp_path / "wall.png")
    page.wait_for("!document.getElementById('token-form').hidden")
    page.evaluate("document.getElementById('token').value = '0123456789abcdef'")
    page.evaluate("document.querySelector('#token-form button').click()")
    page.wait_for("document.getElementById('problem').textContent.includes('no version is ready')")


def test_the_page_may_do_nothing_else(service: Service) -> None:
    response = httpx.get(f"{service.url}/")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in response.text.replace("http-equiv", "")
    assert response.headers["x-content-type-options"] == "nosniff"
