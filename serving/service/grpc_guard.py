"""Checks of every gRPC request before its message is read: token, size, time; the memory of all; the access log."""

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError

from serving.service.errors import Code, ServiceError
from serving.service.metrics import Metrics
from serving.service.request_memory import HeldBytes, RequestMemory
from serving.service.settings import Limits

log = logging.getLogger("crackgate.access")

# Milliseconds after which a client that retries does so: gRPC's "pushback", HTTP's Retry-After.
_RETRY = "grpc-retry-pushback-ms"
# Probes have no token.
_HEALTH = "/grpc.health.v1.Health/"
# Those that are offered, by the names that HTTP's have in the log and in the metrics.
_METHODS = {"Predict": "predict", "GetModelMetadata": "metadata", "GetModelStatus": "status", "Check": "health"}


class GrpcGuard(grpc.aio.ServerInterceptor):
    """Reads messages as streams: gRPC would read a plain request's message before it asks anybody.

    As many messages are read at one time as fit into the memory at their largest, or two; others wait for their turn.
    As many probes are read beside them, and the oldest makes room for the next. Methods that are not offered end before
    anything is read.
    """

    def __init__(self, token: bytes | None, limits: Limits, memory: RequestMemory, metrics: Metrics):
        self._token, self._limits, self._memory, self._metrics = token, limits, memory, metrics
        # With one, a slow client would keep all others waiting.
        self._at_once = max(2, limits.buffered_bytes // limits.request_bytes)
        self._requests = asyncio.Semaphore(self._at_once)
        # Those that are being read, the oldest first. They have no token: none may keep out those who have it.
        self._probes: list[asyncio.Timeout] = []

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """See gRPC."""
        handler = await continuation(details)
        method = _METHODS.get(details.method.rpartition("/")[2])
        # Neither is the message of any other method read, such as the health service's Watch.
        if handler is None or method is None:
            return None
        is_probe = details.method.startswith(_HEALTH)

        async def answer(messages: AsyncIterator[bytes], context: Any) -> Any:
            started = time.perf_counter()
            # As gRPC answers where a method fails.
            code, refusal = "UNKNOWN", None
            retry: tuple[tuple[str, str], ...] = ()
            try:
                if not is_probe:
                    self._check_token(details)
                with HeldBytes(self._memory) as held:
                    # The message is not kept beside what it is parsed into.
                    response = await handler.unary_unary(
                        _parsed(await self._read(messages, held, is_probe), handler.request_deserializer), context
                    )
                code = "OK"
                return response
            except ServiceError as error:
                code, refusal = error.code.name, error.message
                if error.retry_seconds is not None:
                    retry = ((_RETRY, str(1000 * error.retry_seconds)),)
            finally:
                self._account(context.peer(), method, code, time.perf_counter() - started)
            # Not above: gRPC keeps what is raised here, with the frames and the message of what was raised before.
            return await context.abort(getattr(grpc.StatusCode, code, grpc.StatusCode.INTERNAL), refusal, retry)

        return grpc.stream_unary_rpc_method_handler(answer, None, handler.response_serializer)

    def _check_token(self, details: grpc.HandlerCallDetails) -> None:
        if self._token is None:
            return
        given = dict(details.invocation_metadata or ()).get("authorization", "")
        if not hmac.compare_digest(str(given).encode(), b"Bearer " + self._token):
            raise ServiceError(
                Code.UNAUTHENTICATED, "send the service's token as metadata 'authorization: Bearer <token>'"
            )

    def _account(self, client: str, method: str, code: str, seconds: float) -> None:
        self._metrics.requests.labels("grpc", method, code).inc()
        self._metrics.seconds.labels("grpc", method).observe(seconds)
        if method != _METHODS["Check"]:  # probes would hide the requests
            log.info("%s gRPC %s %s %.1f ms", client, method, code, 1000 * seconds)

    async def _read(self, messages: AsyncIterator[bytes], held: HeldBytes, is_probe: bool) -> bytes:
        seconds = self._limits.receive_seconds
        try:
            async with (
                asyncio.timeout(seconds) as patience,
                self._probing(patience) if is_probe else self._requests,
                # It would keep the message.
                aclosing(cast(AsyncGenerator[bytes], aiter(messages))) as received,
            ):
                async for message in received:
                    held.add(len(message))
                    return message
        except TimeoutError:
            raise ServiceError(
                Code.DEADLINE_EXCEEDED, f"the message did not arrive within {seconds:g} s; try again later"
            ) from None
        raise ServiceError(Code.INVALID_ARGUMENT, "the request has no message")

    @asynccontextmanager
    async def _probing(self, patience: asyncio.Timeout) -> AsyncIterator[None]:
        """Ends the `patience` with the oldest probe where there are too many: an honest one comes with its message."""
        if len(self._probes) == self._at_once:
            self._probes.pop(0).reschedule(0)
        self._probes.append(patience)
        try:
            yield
        finally:
            if patience in self._probes:
                self._probes.remove(patience)


def _parsed(message: bytes, parse: Callable[[bytes], Any]) -> Any:
    try:
        return parse(message)
    except DecodeError:
        raise ServiceError(Code.INVALID_ARGUMENT, "the message is none that this method takes") from None
