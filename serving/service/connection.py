"""Limits that uvicorn lacks: of headers, trailers, connections, and clients that close their half early."""

import asyncio
import http
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.service.settings import Limits

# Bytes of a request that are not of its body, counted anew after each part of the body.
_MOST_HEADER_BYTES = 64 * 2**10
# Short headers take many times their bytes. Trailers count, too.
_MOST_HEADERS = 128
# Requests that a client sends before the first of them is answered; each is held with its headers.
_MOST_AHEAD = 16
# Bytes of a refused request that are read and dropped, so that a client that sends first gets to hear why.
_MOST_DROPPED_BYTES = 256 * 2**20
# Connections beyond the limit, for probes.
_RESERVE = 16


def bounded_by(limits: Limits) -> type[HttpToolsProtocol]:
    """A protocol that gives a client `receive_seconds` to send a request's headers, counted from their first byte.

    Beyond `connections`, the connection that has been without a whole request for longest makes room.
    """
    seconds = limits.receive_seconds

    class Connection(HttpToolsProtocol):
        """One connection."""

        _deadline: asyncio.TimerHandle | None = None
        _header_bytes = 0
        _dropped_bytes = 0
        _idle_since = 0.0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Expects a first request."""
            super().connection_made(transport)
            self._idle_since = self.loop.time()
            self._expect_headers()
            if len(self.connections) > limits.connections:
                self._make_room()

        def data_received(self, data: bytes) -> None:
            """Expects the rest of a request that begins, and no endless one."""
            if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
                self._expect_headers()
            self._header_bytes += len(data)
            super().data_received(data)
            if self._header_bytes > _MOST_HEADER_BYTES and (self._deadline is not None or self._awaits_body()):
                self._refuse(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

        def on_body(self, body: bytes) -> None:
            """Counts anew: a trailer without an end may follow. Gathers nothing more of a request that is refused."""
            self._header_bytes = 0
            if self.cycle.response_started:
                self._dropped_bytes += len(body)
                if self._dropped_bytes > _MOST_DROPPED_BYTES:
                    self.transport.close()
                body = b""
            super().on_body(body)

        def on_header(self, name: bytes, value: bytes) -> None:
            """Refuses too many."""
            super().on_header(name, value)
            if len(self.headers) > _MOST_HEADERS:
                self._stop_reading(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

        def on_headers_complete(self) -> None:
            """The headers came in time."""
            self._stop_waiting()
            if len(self.pipeline) >= _MOST_AHEAD:
                self._stop_reading(http.HTTPStatus.TOO_MANY_REQUESTS)
            super().on_headers_complete()

        def eof_received(self) -> Any:
            """A client may close its half as soon as its request is sent, and still waits for the answer."""
            self._stop_waiting()
            waits = self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
            if waits:
                self.cycle.keep_alive = False
            return waits

        def connection_lost(self, exc: Exception | None) -> None:
            """Nothing is expected any more."""
            self._stop_waiting()
            super().connection_lost(exc)

        def _is_waiting(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _awaits_body(self) -> bool:
            return self.cycle is not None and self.cycle.more_body

        def _make_room(self) -> None:
            others = (other for other in self.connections if isinstance(other, Connection) and other is not self)
            idle = [other for other in others if other._is_waiting()]
            if idle:
                min(idle, key=lambda other: other._idle_since).transport.close()
            elif len(self.connections) > limits.connections + _RESERVE:
                self._refuse(http.HTTPStatus.SERVICE_UNAVAILABLE)

        def on_response_complete(self) -> None:
            """It is idle from now on."""
            self._idle_since = self.loop.time()
            super().on_response_complete()

        def _expect_headers(self) -> None:
            self._header_bytes = 0
            self._deadline = self.loop.call_later(seconds, self._refuse, http.HTTPStatus.REQUEST_TIMEOUT)

        def _stop_waiting(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _stop_reading(self, status: http.HTTPStatus) -> None:
            """Refuses, and keeps the parser from the rest of what has come."""
            self._refuse(status)
            raise httptools.HttpParserError(status.phrase)

        def _refuse(self, status: http.HTTPStatus) -> None:
            self._stop_waiting()
            if not self.transport.is_closing():
                head = f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                self.transport.write(head.encode())
                self.transport.close()

    return Connection
