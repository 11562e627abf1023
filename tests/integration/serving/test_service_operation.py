"""A service that runs on: new versions, metrics, log, token, and its end."""

import base64
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from crackgate.releases import approve, roll_back
from tests.helpers.asking import DARK, PREDICT, b64, encoded, example, is_answering, metric, newest, predict
from tests.helpers.pushing import stage
from tests.helpers.service_process import ROOT, Service, running_service
from tests.helpers.toy_release import export_toy, release


def test_a_new_version_takes_over_without_a_failed_request(
    service: Service, serving_dir: Path, toy_model: Path, tmp_path: Path
) -> None:
    first = newest(serving_dir)
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"signature_name": "predict_images", "instances": [b64(DARK)] * 3}))
    load = subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "tests/helpers/load.py"),
            "127.0.0.1",
            str(service.port),
            PREDICT,
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
    roll_back(serving_dir, None, "a test", "to see")
    service.wait_until(ready=True, version=first)
    assert load.stdin is not None
    output, _ = load.communicate("", timeout=60)
    counted = json.loads(output)
    assert counted["failures"] == []
    assert counted["statuses"].keys() == {"200"}
    assert counted["versions"] == [str(first), str(second)]


def test_labels_name_the_version_in_production_and_the_one_that_waits(
    service: Service, serving_dir: Path, toy_model: Path, tmp_path: Path
) -> None:
    labels = "/v1/models/crackgate/labels"
    body = {"signature_name": "predict_images", "instances": [b64(DARK)]}
    answered = httpx.post(f"{service.url}{labels}/production:predict", json=body).json()["predictions"][0]
    assert answered["model_version"] == str(newest(serving_dir))
    status = httpx.get(f"{service.url}{labels}/production").json()["model_version_status"]
    assert [(entry["version"], entry["state"]) for entry in status] == [(str(newest(serving_dir)), "AVAILABLE")]

    number = stage(toy_model, tmp_path / "serving")
    with running_service(tmp_path, "--model", "staged", "--serving", str(tmp_path / "serving")) as waiting:
        waiting.wait_until(ready=True, version=number)
        answered = httpx.post(f"{waiting.url}{labels}/staged:predict", json=body).json()["predictions"][0]
        assert answered["model_version"] == str(number)
        assert "it answers for 'staged'" in httpx.get(f"{waiting.url}{labels}/production").json()["error"]
        approve(tmp_path / "serving", number, "me", "a test")
        waiting.wait_until(ready=False)
        assert httpx.post(f"{waiting.url}{labels}/staged:predict", json=body).status_code == 503


def test_metrics_count_what_happens(service: Service) -> None:
    counted = 'crackgate_requests_total{code="200",interface="http",method="predict"}'
    before, images = metric(service, counted), metric(service, 'crackgate_images_total{outcome="scored"}')
    assert is_answering(service)
    assert metric(service, counted) == before + 1
    assert metric(service, 'crackgate_images_total{outcome="scored"}') == images + 1
    assert metric(service, "crackgate_batch_images_count") > 0
    assert metric(service, "crackgate_queued_images") == 0
    assert metric(service, 'crackgate_request_seconds_count{interface="http",method="predict"}') >= before + 1


def test_the_log_tells_requests_and_no_images_and_no_probes(service: Service) -> None:
    earlier = len(service.log.read_text())
    for path in ("/healthz", "/readyz"):
        assert httpx.get(f"{service.url}{path}").status_code == 200
    httpx.get(f"{service.url}/v1/models/a%0Ab%22?secret=1")
    assert is_answering(service)
    time.sleep(0.1)
    log = service.log.read_text()[earlier:]
    assert f"POST {PREDICT} 200" in log
    assert "GET /v1/models/a%0Ab%22 404" in log
    assert "secret" not in log and "healthz" not in log and "GET /readyz" not in log
    assert re.search(r"^\d{4}-\d\d-\d\dT[\d:]{8}[+-]\d{4} INFO ", log, re.M), "times have a zone"
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
    refused = httpx.post(f"{empty_service.url}{PREDICT}", content=b"{}")
    assert refused.headers["www-authenticate"] == "Bearer"
    ready = httpx.post(
        f"{empty_service.url}{PREDICT}", content=b"{}", headers={"Authorization": "Bearer 0123456789abcdef"}
    )
    assert ready.status_code == 503
    assert "no version is ready" in ready.json()["error"]
    assert "0123456789abcdef" not in empty_service.log.read_text()


def test_a_request_under_way_is_answered_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "serving").mkdir()
    with (
        running_service(tmp_path, "--serving", str(tmp_path / "serving")) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=30) as connection,
    ):
        connection.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{".encode())
        time.sleep(0.3)
        running.process.terminate()
        time.sleep(0.3)
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", running.port), timeout=5):
            pass
        connection.sendall(b"}")
        assert connection.recv(1000).startswith(b"HTTP/1.1 503 ")


def test_a_photograph_out_of_scale_is_an_error_and_is_cut_into_tiles_of_the_release_s_scale(tmp_path: Path) -> None:
    export_toy(tmp_path / "model", side=64)
    version = release(tmp_path / "model", tmp_path / "serving")
    with running_service(tmp_path, "--serving", str(tmp_path / "serving")) as service:
        service.wait_until(ready=True, version=version)
        wall = encoded(245, "JPEG", 320)
        images = [encoded(10, "PNG", 64), wall, encoded(245, "JPEG", 96), DARK]
        for signature, values in (("predict_images", images), ("serving_default", list(map(example, images)))):
            body = {"signature_name": signature, "instances": list(map(b64, values))}
            rows = predict(service, body).raise_for_status().json()["predictions"]
            assert [row["label"] for row in rows] == ["Positive", "", "Negative", ""]
            assert [row["is_positive"] for row in rows] == [True, True, False, True]
            assert rows[1]["error"].startswith("out of scale: 320x320 pixels, allowed are sides of 43 to 96")
            assert "'crackgate inspect' looks at a larger photograph" in rows[3]["error"] and not any(rows[3]["scores"])
        answer = httpx.post(f"{service.url}/heatmap", content=wall, timeout=60).raise_for_status().json()
        assert answer["whole"] is None, "as a whole it is out of scale: its tiles decide"
        # Tiles of 64 pixels that overlap by half.
        assert len(answer["map"]["scores"]) == len(answer["map"]["scores"][0]) == 9
        assert answer["map"]["positive_tile_share"] == 0
        assert "does not say how large" not in service.log.read_text()
    # Threads that wait for work keep nobody waiting.
    assert "still at work" not in service.log.read_text()


def test_what_cannot_be_read_ends_no_watch_and_what_was_repaired_answers(toy_model: Path, tmp_path: Path) -> None:
    serving = tmp_path / "serving"
    first = release(toy_model, serving)
    with running_service(tmp_path, "--serving", str(serving)) as running:
        running.wait_until(ready=True, version=first)
        # Numbers are seconds: the first one there may be the same.
        release(toy_model, tmp_path / "elsewhere")
        second = release(toy_model, tmp_path / "elsewhere")
        assert second > first
        newer = tmp_path / "elsewhere" / str(second)
        manifest, weights = newer / "manifest.json", next(newer.glob("variables/*.data*"))
        as_released, whole = manifest.read_bytes(), weights.read_bytes()

        # A name with a NUL is one that no system call takes.
        manifest.write_bytes(as_released.replace(b'"saved_model.pb"', b'"saved_\\u0000model.pb"'))
        newer = newer.rename(serving / str(second))
        manifest, weights = newer / manifest.name, newer / "variables" / weights.name
        assert _passed_over(running)["version"] == second
        assert metric(running, "crackgate_model_passed_over_version") == second
        assert f"version {second} is passed over" in running.log.read_text()

        weights.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        manifest.write_bytes(as_released)
        running.wait_until(ready=True, version=first, refused=second)
        weights.write_bytes(whole)
        running.wait_until(ready=True, version=second)
        assert is_answering(running) and metric(running, "crackgate_model_passed_over_version") == 0


def _passed_over(running: Service) -> dict[str, Any]:
    patience = time.monotonic() + 60
    while not (over := httpx.get(f"{running.url}/readyz").json()["passed_over"]):
        assert time.monotonic() < patience
        time.sleep(0.2)
    return dict(over)


def test_grpc_reads_no_message_of_a_client_without_the_token(tmp_path: Path) -> None:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from tensorflow_serving.apis import classification_pb2, predict_pb2, prediction_service_pb2_grpc

    (tmp_path / "serving").mkdir()
    arguments = ["--serving", str(tmp_path / "serving"), "--token-env", "TOKEN", "--grpc-port", "0"]
    with running_service(tmp_path, *arguments, TOKEN="0123456789abcdef") as running:
        request = predict_pb2.PredictRequest()
        request.inputs["image_bytes"].string_val.append(b"x" * (30 * 2**20))
        process = psutil.Process(running.process.pid)
        before, most = process.memory_info().rss, 0
        with grpc.insecure_channel(running.grpc) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            asked = [stub.Predict.future(request, timeout=60) for _ in range(20)]
            while not all(call.done() for call in asked):
                most = max(most, process.memory_info().rss)
                time.sleep(0.02)
            assert {call.code() for call in asked} == {grpc.StatusCode.UNAUTHENTICATED}
            assert most - before < 100 * 2**20
            # Those that are read are dropped once they are answered: probes, and broken ones with the token.
            token = [("authorization", "Bearer 0123456789abcdef")]
            for path, metadata in (
                ("/grpc.health.v1.Health/Check", None),
                ("/tensorflow.serving.PredictionService/Predict", token),
            ):
                ask = channel.unary_unary(path)
                for _ in range(6):
                    with pytest.raises(grpc.RpcError) as raised:
                        ask(b"\xff" * (30 * 2**20), metadata=metadata, timeout=60)
                    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert process.memory_info().rss - before < 150 * 2**20
            with pytest.raises(grpc.RpcError) as raised:
                stub.Predict(predict_pb2.PredictRequest(), metadata=[("authorization", "Bearer 0123456789abcdef")])
            assert raised.value.code() is grpc.StatusCode.NOT_FOUND and not raised.value.trailing_metadata()
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "crackgate"
            with pytest.raises(grpc.RpcError) as raised:
                stub.Predict(request, metadata=token, timeout=30)
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
            assert list(raised.value.trailing_metadata()) == [("grpc-retry-pushback-ms", "1000")]
            health = health_pb2_grpc.HealthStub(channel)
            for name in ("", "crackgate"):
                answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=30)
                assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
            with pytest.raises(grpc.RpcError) as raised:
                health.Check(health_pb2.HealthCheckRequest(service="x" * 1000), timeout=30)
            assert raised.value.code() is grpc.StatusCode.NOT_FOUND and len(raised.value.details()) < 200
            with pytest.raises(grpc.RpcError) as raised:
                next(health.Watch(health_pb2.HealthCheckRequest(), timeout=30))
            assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
            with pytest.raises(grpc.RpcError) as raised:
                stub.Classify(classification_pb2.ClassificationRequest(), timeout=30)
            assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
        told = running.log.read_text()
        assert told.count("gRPC predict UNAUTHENTICATED") == 20 and "gRPC health" not in told


def test_probes_that_send_nothing_keep_out_no_request_with_the_token(tmp_path: Path) -> None:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    (tmp_path / "serving").mkdir()
    arguments = ["--serving", str(tmp_path / "serving"), "--token-env", "TOKEN", "--grpc-port", "0"]
    token = [("authorization", "Bearer 0123456789abcdef")]
    with (
        running_service(tmp_path, *arguments, TOKEN="0123456789abcdef") as running,
        grpc.insecure_channel(running.grpc) as channel,
    ):
        silent, ended = channel.stream_unary("/grpc.health.v1.Health/Check"), threading.Event()
        waiting = [silent.future(_nothing_until(ended)) for _ in range(20)]
        # Nor an honest probe: the oldest of them make room.
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            stub.Predict(predict_pb2.PredictRequest(), metadata=token, timeout=10)
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        assert any(not call.done() for call in waiting)
        ended.set()
        bytes_alone = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        with pytest.raises(grpc.RpcError) as raised:
            bytes_alone(b"no message", metadata=token, timeout=10)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def _nothing_until(ended: threading.Event) -> Iterator[bytes]:
    ended.wait(60)
    yield from ()
