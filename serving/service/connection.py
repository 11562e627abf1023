"""Limits that uvicorn lacks: of headers, trailers, connections, and clients that close their half early."""

import asyncio
import http
import json
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.service.settings import Limits

# Bytes of a request that are not of its body, counted anew after each part of the body.
_MOST_HEADER_BYTES = 64 * 2**10
# Short headers take many times their bytes. Trailers count, too.
_MOST_HEADERS = 128
_TOO_LARGE_HEADERS = (
    http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"at most {_MOST_HEADERS} headers of {_MOST_HEADER_BYTES} bytes in all are allowed: send fewer",
)
# Requests that a client sends before the first of them is answered; each is held with its headers.
_MOST_AHEAD = 16
# Parts of a body, such as chunks, that may be of any size; beyond them, the mean of all has to be larger.
_SPARE_PARTS, _LEAST_PART_BYTES = 1024, 16
# Bytes of a refused request that are read and dropped, so that a client that sends first gets to hear why.
_MOST_DROPPED_BYTES = 256 * 2**20
# Connections beyond the limit, for probes.
_RESERVE = 16
# Seconds after which a connection too many makes room: others may have gone by then, and a probe has been read.
_GRACE = 0.1


def bounded_by(limits: Limits) -> type[HttpToolsProtocol]:
    """A protocol that gives a client `receive_seconds` to send a request's headers, counted from their first byte.

    Beyond `connections`, the connection that has been without a whole request for longest makes room.
    """
    seconds = limits.receive_seconds

    class Connection(HttpToolsProtocol):
        """One connection."""

        _deadline: asyncio.TimerHandle | None = None
        _header_bytes = 0
        # Blank lines before it are none of a request.
        _has_begun = False
        _dropped_bytes = 0
        _parts = _body_bytes = 0
        _idle_since = 0.0
        # The request that is being answered; `cycle` is that of the newest.
        _answered: Any = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Expects a first request."""
            super().connection_made(transport)
            self._received: list[bytes] = []
            self._idle_since = self.loop.time()
            self._expect_headers()
            if len(self.connections) > limits.connections:
                self.loop.call_later(_GRACE, self._make_room)

        def data_received(self, data: bytes) -> None:
            """Expects the rest of a request that begins, and no endless one."""
            if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
                self._expect_headers()
            self._header_bytes += len(data)
            super().data_received(data)
            self._hand_on()
            if self._header_bytes > _MOST_HEADER_BYTES and (self._deadline is not None or self._awaits_body()):
                self._refuse(*_TOO_LARGE_HEADERS)

        def on_message_begin(self) -> None:
            """Begins to count the parts of its body."""
            self._parts = self._body_bytes = 0
            self._has_begun = True
            super().on_message_begin()

        def on_body(self, body: bytes) -> None:
            """Gathers the parts that come together: each alone would cost the time of many, and others would wait.

            It counts headers anew, since a trailer without an end may follow.
            """
            self._header_bytes = 0
            self._parts += 1
            self._body_bytes += len(body)
            if self._parts > _SPARE_PARTS and self._body_bytes < self._parts * _LEAST_PART_BYTES:
                self._stop_reading(
                    http.HTTPStatus.BAD_REQUEST,
                    f"the body comes in {self._parts} parts of {self._body_bytes} bytes in all: send parts of at least "
                    f"{_LEAST_PART_BYTES} bytes, or all at once",
                )
            self._received.append(body)

        def on_message_complete(self) -> None:
            """The body is whole."""
            self._hand_on()
            super().on_message_complete()

        def on_header(self, name: bytes, value: bytes) -> None:
            """Refuses too many."""
            super().on_header(name, value)
            if len(self.headers) > _MOST_HEADERS:
                self._stop_reading(*_TOO_LARGE_HEADERS)

        def on_headers_complete(self) -> None:
            """The headers came in time."""
            self._stop_waiting()
            if len(self.pipeline) >= _MOST_AHEAD:
                self._stop_reading(
                    http.HTTPStatus.TOO_MANY_REQUESTS,
                    f"received more than {_MOST_AHEAD} requests before the first was answered: wait for answers",
                )
            super().on_headers_complete()
            if not self.pipeline:
                self._answered = self.cycle

        def send_400_response(self, msg: str) -> None:
            """Refuses what is no HTTP, unless it was refused already."""
            self._refuse(http.HTTPStatus.BAD_REQUEST, msg)

        def eof_received(self) -> Any:
            """A client may close its half as soon as its request is sent, and still waits for the answer."""
            if self._awaits_body() or (self._deadline is not None and self._has_begun):
                self._refuse(http.HTTPStatus.BAD_REQUEST, "the connection ended before the request was whole")
            self._stop_waiting()
            waits = self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
            if waits:
                self.cycle.keep_alive = False
            return waits

        def connection_lost(self, exc: Exception | None) -> None:
            """Nothing is expected any more."""
            self._stop_waiting()
            super().connection_lost(exc)

        def _hand_on(self) -> None:
            """Gives the application what came of a body; nothing more of a request that is refused."""
            body = b"".join(self._received)
            self._received.clear()
            if not body:
                return
            if self.cycle.response_started:
                self._dropped_bytes += len(body)
                if self._dropped_bytes > _MOST_DROPPED_BYTES:
                    self.transport.close()
                body = b""
                # The application asks for the rest at its own pace, and other connections are read in between.
                self.flow.pause_reading()
            super().on_body(body)

        def _is_waiting(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _awaits_body(self) -> bool:
            return self.cycle is not None and self.cycle.more_body

        def _make_room(self) -> None:
            open_ones = [
                other
                for other in self.connections
                if isinstance(other, Connection) and not other.transport.is_closing()
            ]
            others = [other for other in open_ones if other is not self]
            if len(others) < limits.connections or len(others) == len(open_ones):
                return
            oldest = min(
                others, key=lambda other: (not other._is_waiting(), not other._awaits_body(), other._idle_since)
            )
            if oldest._is_waiting():
                oldest.transport.close()
            elif oldest._awaits_body():
                oldest._refuse(http.HTTPStatus.SERVICE_UNAVAILABLE, "the request came too slowly while others waited")
            elif len(others) >= limits.connections + _RESERVE:
                self._refuse(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many connections: try again later")

        def on_response_complete(self) -> None:
            """It answers the next one, or is idle from now on."""
            self._idle_since = self.loop.time()
            if self.pipeline:
                self._answered = self.pipeline[-1][0]
            super().on_response_complete()

        def _expect_headers(self) -> None:
            self._header_bytes, self._has_begun = 0, False
            self._deadline = self.loop.call_later(
                seconds,
                self._refuse,
                http.HTTPStatus.REQUEST_TIMEOUT,
                f"no request's headers came within {seconds:g} s",
            )

        def _stop_waiting(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _stop_reading(self, status: http.HTTPStatus, reason: str) -> None:
            """Refuses, and keeps the parser from the rest of what has come."""
            self._refuse(status, reason)
            raise httptools.HttpParserError(reason)

        def _refuse(self, status: http.HTTPStatus, reason: str) -> None:
            self._stop_waiting()
            if self.transport.is_closing():
                return
            # In the midst of another answer it would be taken for a part of that.
            answered = self._answered
            if answered is None or answered.response_complete or not answered.response_started:
                body = json.dumps({"error": reason})
                head = f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-type: application/json"
                self.transport.write(f"{head}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
            self.transport.close()

    return Connection
