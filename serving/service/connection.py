"""Limits that uvicorn lacks: clients that never finish their headers, and clients that close their half early."""

import asyncio
import http
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_HEADER_BYTES = 64 * 2**10


def patient_for(seconds: float) -> type[HttpToolsProtocol]:
    """A protocol that gives a client so many seconds to send a request's headers, counted from its first byte."""

    class Connection(HttpToolsProtocol):
        """One connection."""

        _deadline: asyncio.TimerHandle | None = None
        _header_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            """Expects a first request."""
            super().connection_made(transport)
            self._expect_headers()

        def data_received(self, data: bytes) -> None:
            """Expects the rest of a request that begins, and no endless one."""
            if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
                self._expect_headers()
            if self._deadline is not None:
                self._header_bytes += len(data)
            super().data_received(data)
            if self._deadline is not None and self._header_bytes > _MOST_HEADER_BYTES and self._is_waiting():
                self._refuse(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

        def on_headers_complete(self) -> None:
            """The headers came in time."""
            self._stop_waiting()
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

        def _expect_headers(self) -> None:
            self._header_bytes = 0
            self._deadline = self.loop.call_later(seconds, self._refuse, http.HTTPStatus.REQUEST_TIMEOUT)

        def _stop_waiting(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _refuse(self, status: http.HTTPStatus) -> None:
            self._stop_waiting()
            if not self.transport.is_closing():
                head = f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                self.transport.write(head.encode())
                self.transport.close()

    return Connection
