"""Checks of every HTTP request before the application gets it: token, size, time; and the access log."""

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.service.errors import Code, ServiceError
from serving.service.metrics import Metrics
from serving.service.settings import Limits

access_log = logging.getLogger("crackgate.access")

# Probes have no token; the page holds nothing and asks for it.
_OPEN_PATHS = ("/healthz", "/readyz", "/")
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"cross-origin-resource-policy": b"same-origin",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}
_REJECTIONS = {
    Code.UNAUTHENTICATED: "no_token",
    Code.REQUEST_TIMEOUT: "slow_client",
    Code.TOO_LARGE: "too_large",
    Code.RESOURCE_EXHAUSTED: "too_busy",
    Code.UNAVAILABLE: "not_ready",
    Code.DEADLINE_EXCEEDED: "too_late",
}


class Guard:
    """ASGI middleware. It reads the whole body, within bounds, before the application gets the request."""

    def __init__(self, app: ASGIApp, token: bytes | None, limits: Limits, metrics: Metrics):
        self._app, self._token, self._limits, self._metrics = app, token, limits, metrics
        self._buffered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        answer = _Answer(send)
        held = 0

        def hold(count: int) -> None:
            nonlocal held
            held += count
            self._buffered += count
            self._metrics.buffered.set(self._buffered)

        try:
            self._check_token(scope)
            async with asyncio.timeout(self._limits.receive_seconds):
                body = await self._read(scope, receive, hold)
            await self._app(scope, _replay(body, receive), answer.send)
        except TimeoutError:
            message = f"the request did not arrive within {self._limits.receive_seconds:g} s"
            await self._refuse(ServiceError(Code.REQUEST_TIMEOUT, message), answer)
        except ServiceError as error:
            await self._refuse(error, answer)
        except _ClientGoneError:
            answer.status = 499
        finally:
            self._account(scope, answer.status, held, time.perf_counter() - started)
            hold(-held)

    def _check_token(self, scope: Scope) -> None:
        if self._token is None or scope["path"] in _OPEN_PATHS:
            return
        given = b""
        for name, value in scope["headers"]:
            if name == b"authorization" and value[:7].lower() == b"bearer ":
                given = value[7:].strip()
        if not hmac.compare_digest(given, self._token):
            raise ServiceError(Code.UNAUTHENTICATED, "send the service's token: 'Authorization: Bearer <token>'")

    async def _read(self, scope: Scope, receive: Receive, hold: Callable[[int], None]) -> bytes:
        most = self._limits.request_bytes
        announced = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if int(announced) > most:
            raise _too_large(f"{int(announced)} bytes", most)
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientGoneError
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                raise _too_large("more", most)
            if self._buffered + len(part) > self._limits.buffered_bytes:
                raise ServiceError(Code.RESOURCE_EXHAUSTED, "too many large requests at once: try again later")
            hold(len(part))
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    async def _refuse(self, error: ServiceError, answer: "_Answer") -> None:
        # uvicorn drops what comes after the limit, so that the client gets to read why.
        status, headers, body = render_error(error)
        with suppress(OSError):
            await answer.send({"type": "http.response.start", "status": status, "headers": headers})
            await answer.send({"type": "http.response.body", "body": body})
        self.count_rejection(error.code)

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
    if error.code in (Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE):
        headers.append((b"retry-after", b"1"))
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


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _too_large(received: str, most: int) -> ServiceError:
    return ServiceError(
        Code.TOO_LARGE, f"the request has {received}, at most {most} bytes are allowed: send fewer or smaller images"
    )
