"""Hostile requests: each is refused with its reason, and the service goes on answering."""

import concurrent.futures
import contextlib
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.helpers.asking import DARK, LIGHT, PREDICT, b64, bomb, encoded, example, is_answering, metric, predict
from tests.helpers.service_process import Service


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
        (b'{"instances": [' + b"1," * 100_000 + b"1]}", "too many or too deep"),
        ({"signature_name": "x" * 100_000, "instances": [b64(DARK)]}, "xxx..."),
        ({"instances": [b64(b"x")] * 65}, "at most 64"),
        (b'{"instances": [' + b"9" * 5000 + b"]}", "JSON"),
        (b'{"instances": ["' + b"a" * 2**20 + b'\xc3\xa9"]}', "beyond ASCII"),
        (b'{"instances": ["' + b"a" * 2**20 + b'\\ud83d\\ude00"]}', "beyond ASCII"),
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

    announced = httpx.post(f"{service.url}{PREDICT}", content=b" " * (100 * 2**20))
    unannounced = httpx.post(f"{service.url}{PREDICT}", content=endless())
    for response in (announced, unannounced):
        assert response.status_code == 413
        assert "at most 4194304 bytes" in response.json()["error"]
    assert is_answering(service)


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
def test_what_is_open_to_all_takes_no_body_to_speak_of(service: Service, path: str) -> None:
    refused = httpx.request("GET", f"{service.url}{path}", content=b" " * 5000)
    assert refused.status_code == 413 and "at most 4096 bytes" in refused.json()["error"]
    assert httpx.request("GET", f"{service.url}{path}", content=b" ").status_code == 200


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

    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n".encode()
    with concurrent.futures.ThreadPoolExecutor() as threads:
        slow_head = threads.submit(ask, b"GET /healthz HTTP/1.1\r\nX-Slow: ", b"a")
        silent = threads.submit(ask, b"", b"")
        slow_body = threads.submit(ask, head, b" ")
        assert is_answering(service)
        assert b" 408 " in slow_body.result()
        assert b" 408 " in slow_head.result()
        assert b" 408 " in silent.result()


@pytest.mark.parametrize(
    "head",
    ["GET /healthz HTTP/1.1\r\n", f"POST {PREDICT} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n"],
    ids=["headers", "trailers"],
)
def test_endless_headers_and_trailers_are_refused(service: Service, head: str) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(f"{head}X-Long: ".encode())
        received = b""
        # It closes the connection while we still write; one that waits for more would be a timeout.
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(b"a" * 8192)
            received = connection.recv(1000)
    assert received == b"" or b" 431 " in received
    assert is_answering(service)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 200 + b"\r\n", b" 431 "),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100, b" 429 "),
    ],
    ids=["headers", "requests ahead"],
)
def test_many_short_headers_and_requests_at_once_are_refused(service: Service, sent: bytes, status: bytes) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(sent)
        assert status in connection.recv(1000)
    assert is_answering(service)


def test_a_small_answer_waits_for_no_confirmation(service: Service) -> None:
    seconds = []
    with httpx.Client() as client:
        for _ in range(60):
            started = time.perf_counter()
            assert client.get(f"{service.url}/healthz").status_code == 200
            seconds.append(time.perf_counter() - started)
    # TCP delays confirmations by 40 ms. Others use the machine: most answers, not all, come at once.
    assert sorted(seconds)[20] < 0.03


def test_a_client_may_close_its_half(service: Service) -> None:
    body = json.dumps({"signature_name": "predict_images", "instances": [b64(DARK)]}).encode()
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(
            f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b'"Positive"' in received


@pytest.mark.parametrize(
    "sent",
    [
        f"POST {PREDICT} HTTP/1.1\r\nHost: local",
        f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{{",
        f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{{}}",
    ],
    ids=["headers", "body", "chunk"],
)
def test_a_client_that_closes_its_half_too_early_hears_why(service: Service, sent: str) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(sent.encode())
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.count(b"HTTP/1.1 ") == 1 and received.startswith(b"HTTP/1.1 400 ")
    assert b"ended before the request was whole" in received


def test_a_blank_line_after_a_request_begins_no_other(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = connection.recv(65536)
        connection.sendall(b"\r\n")
        time.sleep(0.1)
        connection.shutdown(socket.SHUT_WR)
        received += b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 200 ") and received.count(b"HTTP/1.1 ") == 1


def test_clients_that_vanish_leave_nothing_behind(service: Service) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(
                f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nabc".encode()
            )
    assert is_answering(service)
    assert metric(service, "crackgate_buffered_bytes") == 0


def test_overload_is_turned_away(service: Service) -> None:
    body = json.dumps({"signature_name": "predict_images", "instances": [b64(encoded(10, "JPEG", 256))] * 60}).encode()
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        responses = list(threads.map(lambda _: predict(service, body), range(48)))
    statuses = {response.status_code for response in responses}
    assert statuses == {200, 429}
    refused = next(response for response in responses if response.status_code == 429)
    assert f"try again in {refused.headers['retry-after']} s" in refused.json()["error"]
    assert is_answering(service)
    assert metric(service, 'crackgate_rejected_total{reason="too_busy"}') > 0


def test_small_images_do_not_wait_for_large_ones(service: Service) -> None:
    large = encoded(10, "WEBP", 2400)
    answered = []

    def ask_about_large(_: int) -> None:
        answer = predict(service, {"signature_name": "predict_images", "instances": [b64(large), b64(LIGHT)] * 3})
        assert answer.status_code == 200, answer.text
        rows = answer.json()["predictions"]
        assert [row["label"] for row in rows] == ["Positive", "Negative"] * 3, "in the order of the request"
        answered.append("large")

    with concurrent.futures.ThreadPoolExecutor(5) as threads:
        waiting = [threads.submit(ask_about_large, number) for number in range(5)]
        while metric(service, "crackgate_queued_images") < 10:
            time.sleep(0.01)
        for _ in range(5):
            assert is_answering(service)
            answered.append("small")
        for future in waiting:
            future.result()
    assert answered[-1] == "large" and answered.count("large") == 5
    assert "small" in answered[:3], answered


def test_more_pixels_than_can_be_decoded_in_time_are_turned_away(service: Service) -> None:
    huge = encoded(10, "AVIF", 7000)
    refused = predict(service, {"signature_name": "predict_images", "instances": [b64(huge)] * 42})
    assert refused.status_code == 429
    assert "no room for 42 images of 2058.0 megapixels: 0 images of 0.0 megapixels wait" in refused.json()["error"]
    assert "send fewer at a time" in refused.json()["error"]
    # Nothing of it waits, so that it keeps nobody else out.
    assert metric(service, "crackgate_queued_images") == 0
    assert predict(service, {"signature_name": "predict_images", "instances": [b64(huge)]}).status_code == 200
    assert is_answering(service)


def test_many_small_chunks_are_a_body_like_any_other(service: Service) -> None:
    body = json.dumps({"signature_name": "predict_images", "instances": [b64(encoded(10, "BMP", 200))]}).encode()

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 20):
            yield body[start : start + 20]

    assert len(body) > 2 * 64 * 2**10
    assert httpx.post(f"{service.url}{PREDICT}", content=chunks(), timeout=60).status_code == 200


def test_chunks_of_a_byte_keep_no_probe_waiting(service: Service) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()

    def ask(_: int) -> bytes:
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
            # It closes the connection while we still write.
            with contextlib.suppress(ConnectionError):
                connection.sendall(head + b"1\r\na\r\n" * 500_000)
            with contextlib.suppress(ConnectionError):
                return connection.recv(1000)
        return b""

    process = psutil.Process(service.process.pid)
    with concurrent.futures.ThreadPoolExecutor(40) as threads:
        before = process.cpu_times()
        answers = list(threads.map(ask, range(40)))
        spent = process.cpu_times()
    assert all(answer == b"" or b" 400 " in answer for answer in answers)
    # 20 million chunks took the service half a minute, in turns of seconds. Not by the clock: others use it, too.
    assert spent.user + spent.system - before.user - before.system < 3
    assert is_answering(service)


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        ([("Content-Encoding", "gzip"), ("Content-Encoding", "identity")], 415, b"received 'gzip'"),
        ([("Host", "evil.example"), ("Host", "localhost")], 403, b"received 'evil.example'"),
        ([("Host", "[::1].evil.example")], 403, b"received '[::1].evil.example'"),
        ([("Host", "localhost:80@evil.example")], 403, b"received 'localhost:80@evil.example'"),
        ([("Host", "127.0.0.1:8501:1")], 403, b"received '127.0.0.1:8501:1'"),
        ([("Host", "localhost "), ("Content-Encoding", "identity\t")], 400, b"instances"),
    ],
    ids=["encoded twice", "two hosts", "address in a name", "user in a name", "two ports", "blanks after values"],
)
def test_every_value_of_a_header_counts_and_all_of_it(
    service: Service, headers: list[tuple[str, str]], status: int, said: bytes
) -> None:
    hosts = [] if headers[0][0] == "Host" else [("Host", "localhost")]
    head = "".join(f"{name}: {value}\r\n" for name, value in [*hosts, *headers, ("Connection", "close")])
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
        connection.sendall(f"POST {PREDICT} HTTP/1.1\r\n{head}Content-Length: 2\r\n\r\n{{}}".encode())
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(f"HTTP/1.1 {status} ".encode()) and said in received


@pytest.mark.parametrize(
    ("headers", "status", "said"),
    [
        ({"Content-Encoding": "gzip"}, 415, "received 'gzip'"),
        ({"Host": "evil.example"}, 403, "received 'evil.example'"),
    ],
    ids=["gzip", "other host"],
)
def test_clients_that_send_all_before_they_listen_hear_why(
    service: Service, headers: dict[str, str], status: int, said: str
) -> None:
    request = urllib.request.Request(f"{service.url}{PREDICT}", data=b" " * (3 * 2**20), headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == status and said in json.load(refused.value)["error"]


def test_a_body_that_is_too_large_is_refused_in_words_to_urllib(service: Service) -> None:
    request = urllib.request.Request(f"{service.url}{PREDICT}", data=b" " * (30 * 2**20))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 413 and "at most 4194304 bytes" in json.load(refused.value)["error"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:8501", "app.localhost"])
def test_this_machines_own_names_are_allowed(service: Service, host: str) -> None:
    assert httpx.get(f"{service.url}/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("slow", ["Content-Le", "Content-Length: 1000\r\n\r\n{"], ids=["headers", "bodies"])
@pytest.mark.parametrize("share", [1, 2], ids=["all", "half"])
def test_probes_are_answered_beside_any_number_of_idle_and_slow_connections(
    service: Service, slow: str, share: int
) -> None:
    begun = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\n{slow}".encode()
    with contextlib.ExitStack() as held:
        for number in range(600):
            connection = held.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30))
            # A connection that had to make room may be closed already.
            with contextlib.suppress(OSError):
                connection.sendall(b"" if number % share else begun)
        for path in ("/healthz", "/readyz"):
            assert httpx.get(f"{service.url}{path}", timeout=30).status_code == 200
        assert is_answering(service)
    assert is_answering(service)


def test_paths_and_methods_that_are_none_are_explained_shortly(service: Service) -> None:
    for path in ("/healthz", "/readyz"):
        head = httpx.head(f"{service.url}{path}")
        assert head.status_code == 200 and not head.content
    wrong = httpx.post(f"{service.url}/healthz")
    assert wrong.status_code == 405 and "GET" in wrong.headers["allow"]
    # Nobody is sent elsewhere by the host that a client names.
    assert httpx.get(f"{service.url}/healthz/").status_code == 404
    unknown = httpx.get(f"{service.url}/{'x' * 5000}")
    assert unknown.status_code == 404 and len(unknown.content) < 300
    labelled = httpx.post(f"{service.url}/v1/models/crackgate/labels/stable:predict", content=b"{}")
    assert labelled.status_code == 400 and "received 'stable', which" in labelled.json()["error"]
    assert "it answers for 'production'" in labelled.json()["error"]
