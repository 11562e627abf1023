"""Checks of every HTTP request before the application gets it: token, size, time; and the access log."""

import asyncio
import hmac
import io
import json
import logging
import re
import time
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.service.errors import Code, ServiceError, shortened
from serving.service.metrics import Metrics
from serving.service.request_memory import HeldBytes, RequestMemory
from serving.service.settings import ServiceSettings, is_loopback

access_log = logging.getLogger("crackgate.access")

_PROBES = ("/healthz", "/readyz")
# Probes have no token; the page holds nothing and asks for it.
_OPEN_PATHS = (*_PROBES, "/")
# Bytes of a request's body where no token is asked for: none is needed.
_MOST_OPEN_BYTES = 4 * 2**10
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"cross-origin-resource-policy": b"same-origin",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}
_HOST = re.compile(r"(?:\[([^]]+)\]|([^:]+))(?::[0-9]*)?")
_REJECTIONS = {
    Code.UNAUTHENTICATED: "no_token",
    Code.PERMISSION_DENIED: "other_host",
    Code.UNSUPPORTED_ENCODING: "compressed",
    Code.REQUEST_TIMEOUT: "slow_client",
    Code.TOO_LARGE: "too_large",
    Code.RESOURCE_EXHAUSTED: "too_busy",
    Code.UNAVAILABLE: "not_ready",
    Code.DEADLINE_EXCEEDED: "too_late",
}


class Guard:
    """ASGI middleware. It reads the whole body, within bounds, before the application gets the request."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings, memory: RequestMemory, metrics: Metrics):
        self._app, self._token, self._limits, self._metrics = app, settings.token, settings.limits, metrics
        # Without a token, another site's page could ask through a name that it lets point to this machine.
        self._local_only = settings.token is None and is_loopback(settings.host)
        # Requests that came whole and are being answered.
        self._memory, self._under_way = memory, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        answer = _Answer(send)
        held = HeldBytes(self._memory)
        try:
            if refusal := await self._answer(scope, receive, answer, held):
                # What is late, or was only announced, is not waited for.
                waits = refusal.code != Code.REQUEST_TIMEOUT and b"expect" not in dict(scope["headers"])
                await self._refuse(refusal, answer, receive if waits else None)
        except _ClientGoneError:
            answer.status = 499
        finally:
            self._account(scope, answer.status, held.count, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, answer: "_Answer", held: HeldBytes) -> ServiceError | None:
        """Gives a request to the application, or returns why not; the request is not held any longer."""
        try:
            with held:
                self._check(scope)
                # Nothing here keeps the body: the application drops it once it has read it.
                whole = _replay(await self._read_in_time(scope, receive, held), receive)
                self._under_way += 1
                try:
                    await self._app(scope, whole, answer.send)
                finally:
                    self._under_way -= 1
        except ServiceError as error:
            # A new one: the frames of this one keep what was read.
            return ServiceError(error.code, error.message, error.retry_seconds)
        return None

    def _check(self, scope: Scope) -> None:
        """Refuses a request by its headers."""
        if scope["path"] in _PROBES:
            return
        for host in _values(scope, b"host") if self._local_only else []:
            if host and not is_loopback(_without_port(host)):
                raise ServiceError(
                    Code.PERMISSION_DENIED,
                    f"Host: received {shortened(host)!r}, allowed are localhost and this machine's own addresses, "
                    "since the service has no token: ask for one of them, or give it a token",
                )
        if self._token is not None and scope["path"] not in _OPEN_PATHS:
            kind, _, given = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
            if kind.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token):
                raise ServiceError(Code.UNAUTHENTICATED, "send the service's token: 'Authorization: Bearer <token>'")
        if self._under_way >= self._limits.connections:
            raise self._memory.refusal("too many requests at once:")
        for encoding in _values(scope, b"content-encoding"):
            if encoding.lower() != "identity":
                raise ServiceError(
                    Code.UNSUPPORTED_ENCODING,
                    f"Content-Encoding: received {shortened(encoding)!r}, allowed is identity: images are compressed "
                    "already, so send the request as it is",
                )

    async def _read_in_time(self, scope: Scope, receive: Receive, held: HeldBytes) -> bytes:
        try:
            async with asyncio.timeout(self._limits.receive_seconds):
                return await self._read(scope, receive, held)
        except TimeoutError:
            message = f"the request did not arrive within {self._limits.receive_seconds:g} s"
            raise ServiceError(Code.REQUEST_TIMEOUT, message) from None

    async def _read(self, scope: Scope, receive: Receive, held: HeldBytes) -> bytes:
        most = _MOST_OPEN_BYTES if scope["path"] in _OPEN_PATHS else self._limits.request_bytes
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if int(announced) > most:
            raise _too_large(f"{int(announced)} bytes", most)
        # Gives its bytes without a copy, and frees them where the request is refused.
        with io.BytesIO() as body:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _ClientGoneError
                part = message.get("body", b"")
                if body.tell() + len(part) > most:
                    raise _too_large("more", most)
                held.add(len(part))
                body.write(part)
                if not message.get("more_body", False):
                    return body.getvalue()

    async def _refuse(self, error: ServiceError, answer: "_Answer", rest: Receive | None) -> None:
        """Answers with the error, and drops the `rest` of the request, without which many clients hear nothing."""
        status, headers, body = render_error(error)
        self.count_rejection(error.code)
        with suppress(OSError):
            headers.append((b"connection", b"close"))
            await answer.send({"type": "http.response.start", "status": status, "headers": headers})
            await answer.send({"type": "http.response.body", "body": body, "more_body": rest is not None})
            if rest is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._limits.receive_seconds):
                        await _drop(rest)
                await answer.send({"type": "http.response.body", "body": b""})

    def count_rejection(self, code: Code) -> None:
        """Counts a request that was refused, if the code says so."""
        if code in _REJECTIONS:
            self._metrics.rejected.labels(_REJECTIONS[code]).inc()

    def _account(self, scope: Scope, status: int, size: int, seconds: float) -> None:
        route = scope.get("route")
        # Own paths alone: anybody can make up any number of others.
        method = getattr(route, "name", None) or "other"
        self._metrics.requests.labels("http", method, status).inc()
        self._metrics.seconds.labels("http", method).observe(seconds)
        if scope["path"] in _PROBES:
            return  # every few seconds; they would hide the requests
        client = scope["client"][0] if scope.get("client") else "-"
        # As it was sent, percent-encoded: no client can make up a line of the log.
        path = scope.get("raw_path", b"").decode("ascii", "backslashreplace")
        access_log.info(
            "%s %s %s %d %d bytes %.1f ms", client, scope["method"], path[:200], status, size, 1000 * seconds
        )


def render_error(error: ServiceError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body as TensorFlow Serving gives an error."""
    body = json.dumps({"error": error.message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if error.retry_seconds is not None:
        headers.append((b"retry-after", str(error.retry_seconds).encode()))
    if error.code is Code.UNAUTHENTICATED:
        headers.append((b"www-authenticate", b"Bearer"))
    return error.code.value, headers, body


class _ClientGoneError(Exception):
    """The client closed the connection before its request was whole."""


class _Answer:
    """Sends an answer with the common headers, and knows its status."""

    def __init__(self, send: Send):
        self._send, self.status = send, 500

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            names = {name.lower() for name, _ in message["headers"]}
            more = [(name, value) for name, value in _HEADERS.items() if name not in names]
            message = {**message, "headers": [*message["headers"], *more]}
        await self._send(message)


async def _drop(rest: Receive) -> None:
    # The connection gathers nothing of it.
    while (await rest()).get("more_body", False):
        pass


def _values(scope: Scope, name: bytes) -> list[str]:
    """A header's values: a client may send it more than once."""
    return [value.decode("latin-1").strip() for given, value in scope["headers"] if given == name]


def _without_port(host: str) -> str:
    """The name in a Host header; "" where it is none."""
    found = _HOST.fullmatch(host)
    return "" if found is None else found[1] or found[2]


def _replay(body: bytes, receive: Receive) -> Receive:
    left = [body]

    async def replay() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return replay


def _too_large(received: str, most: int) -> ServiceError:
    return ServiceError(
        Code.TOO_LARGE, f"the request has {received}, at most {most} bytes are allowed: send fewer or smaller images"
    )
