"""Checks of every gRPC request before its message is read: token, size, time; the memory of all; the access log."""

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from serving.service.errors import Code, ServiceError
from serving.service.metrics import Metrics
from serving.service.request_memory import RequestMemory
from serving.service.settings import Limits

log = logging.getLogger("crackgate.access")

# Probes have no token.
_HEALTH = "/grpc.health.v1.Health/"
# Those that are offered, by the names that HTTP's have in the log and in the metrics.
_METHODS = {"Predict": "predict", "GetModelMetadata": "metadata", "GetModelStatus": "status", "Check": "health"}


class GrpcGuard(grpc.aio.ServerInterceptor):
    """Reads messages as streams: gRPC would read a plain request's message before it asks anybody.

    As many messages are read at one time as fit into the memory at their largest; others wait for their turn. Probes
    wait for each other alone. Methods that are not offered end before anything is read.
    """

    def __init__(self, token: bytes | None, limits: Limits, memory: RequestMemory, metrics: Metrics):
        self._token, self._limits, self._memory, self._metrics = token, limits, memory, metrics
        at_once = max(1, limits.buffered_bytes // limits.request_bytes)
        # Probes have no token: a slow one must not keep out those who have it.
        self._requests, self._probes = asyncio.Semaphore(at_once), asyncio.Semaphore(at_once)

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
            code = "UNKNOWN"
            try:
                if not is_probe:
                    self._check_token(details)
                with self._memory.holding() as held:
                    message = await self._read(messages, self._probes if is_probe else self._requests)
                    held.add(len(message))
                    response = await handler.unary_unary(_parsed(message, handler.request_deserializer), context)
                code = "OK"
                return response
            except ServiceError as error:
                code = error.code.name
                await context.abort(getattr(grpc.StatusCode, code, grpc.StatusCode.INTERNAL), error.message)
            finally:
                self._account(context.peer(), method, code, time.perf_counter() - started)

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

    async def _read(self, messages: AsyncIterator[bytes], turns: asyncio.Semaphore) -> bytes:
        seconds = self._limits.receive_seconds
        try:
            async with asyncio.timeout(seconds), turns:
                async for message in messages:
                    return message
        except TimeoutError:
            raise ServiceError(
                Code.DEADLINE_EXCEEDED, f"the message did not arrive within {seconds:g} s; try again later"
            ) from None
        raise ServiceError(Code.INVALID_ARGUMENT, "the request has no message")


def _parsed(message: bytes, parse: Callable[[bytes], Any]) -> Any:
    try:
        return parse(message)
    except DecodeError:
        raise ServiceError(Code.INVALID_ARGUMENT, "the message is none that this method takes") from None
