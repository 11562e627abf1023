"""A connection with several requests at once: a refusal is no part of another request's answer."""

import asyncio
import socket
from typing import Any

import pytest
import uvicorn

from serving.service.connection import bounded_by
from serving.service.settings import Limits

_REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n"


@pytest.mark.parametrize(
    "third", [_REQUEST + b"a: b\r\n" * 200 + b"\r\n", b"no request\r\n\r\n"], ids=["too many headers", "no HTTP"]
)
@pytest.mark.parametrize("has_begun", [True, False], ids=["within an answer", "before an answer"])
def test_a_refusal_is_no_part_of_an_answer(third: bytes, has_begun: bool) -> None:
    assert asyncio.run(_received(third, has_begun)).startswith(b"HTTP/1.1 200 " if has_begun else b"HTTP/1.1 4")


async def _received(third: bytes, has_begun: bool) -> bytes:
    """All bytes that a client gets who sends two more requests while the first is answered; the third is refused."""
    reached, client_gone = asyncio.Event(), asyncio.Event()

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        if has_begun:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        reached.set()
        await client_gone.wait()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            answer, http=bounded_by(Limits()), loop="asyncio", ws="none", lifespan="off", log_config=None
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listening]))
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(_REQUEST + b"\r\n")
        await reached.wait()
        writer.write(_REQUEST + b"\r\n" + third)
        received = await reader.read()
        writer.close()
        client_gone.set()
        server.should_exit = True
        await serving
    assert received.count(b"HTTP/1.1 ") == 1
    return received
