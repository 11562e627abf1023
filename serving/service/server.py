"""Runs the service: sockets, signals, log, and the tasks beside the requests."""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import uvicorn
from fastapi import FastAPI

from crackgate.import_lock import import_alone
from crackgate.runs.log_file import TIME_FORMAT, LogFormatter
from serving.service.app import build_app
from serving.service.connection import bounded_by
from serving.service.heat_map import HeatMapper
from serving.service.metrics import Metrics
from serving.service.model_versions import ModelVersions, Source
from serving.service.predictor import Predictor
from serving.service.request_memory import RequestMemory
from serving.service.settings import ServiceSettings, SettingsError

log = logging.getLogger("crackgate.service")

_SECONDS_TO_END = 3
# Numbers of malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def serve(settings: ServiceSettings) -> None:
    """Serves until SIGTERM or SIGINT, then answers the requests under way; raises SettingsError for a taken address."""
    _write_log()
    _return_freed_memory()
    metrics = Metrics()
    source = Source(settings.folder, settings.is_one_version, settings.public_key, settings.state)
    versions = ModelVersions(source, settings.engine, settings.poll_seconds, metrics)
    predictor = Predictor(versions, settings.limits, metrics)
    heat_mapper = HeatMapper(predictor, settings.limits.answer_seconds)
    memory = RequestMemory(settings.limits.buffered_bytes, metrics, predictor.seconds_to_answer)
    listening = _listen(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(predictor.run()), asyncio.create_task(versions.run())]
        host, port = listening.getsockname()[:2]
        host = f"[{host}]" if ":" in host else host
        print(f"listening at http://{host}:{port}", flush=True)
        if settings.grpc_port is not None:
            tasks.append(asyncio.create_task(_serve_grpc(settings, predictor, memory, metrics, host)))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        predictor.close()
        heat_mapper.close()

    app = build_app(settings, predictor, heat_mapper, memory, metrics, lifespan)
    config = uvicorn.Config(
        app,
        http=bounded_by(settings.limits),
        ws="none",
        # uvloop, where it is installed, reads megabytes of one connection before it looks at another.
        loop="asyncio",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        # Longer than clients and proxies wait between two requests, as a rule.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.limits.answer_seconds) + 1,
    )
    # uvicorn ends as asked and then sends the signal once more, to what was there before it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listening])
    _leave(predictor, heat_mapper)


def _return_freed_memory() -> None:
    """Has the C library give what large requests took back to the system; musl and macOS do without being asked.

    glibc would learn from the first of them to keep such blocks, for each thread on its own. See mallopt(3).
    """
    with suppress(AttributeError):
        for option, value in ((_M_MMAP_THRESHOLD, 64 * 2**10), (_M_TRIM_THRESHOLD, 128 * 2**10), (_M_ARENA_MAX, 2)):
            ctypes.CDLL(None).mallopt(option, value)


def _leave(*closed: Predictor | HeatMapper) -> None:
    """Ends the process, also where a thread still decodes an image that nobody waits for any more."""
    # The threads of a loaded model wait for work until Python ends: they say nothing.
    ends = threading.Thread(target=lambda: [each.close(wait=True) for each in closed], daemon=True)
    ends.start()
    ends.join(_SECONDS_TO_END)
    if ends.is_alive():
        log.warning("left while a thread was still at work on an abandoned request")
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


async def _serve_grpc(
    settings: ServiceSettings, predictor: Predictor, memory: RequestMemory, metrics: Metrics, host: str
) -> None:
    try:
        # TensorFlow comes with it: HTTP answers before that.
        module = await asyncio.to_thread(import_alone, "serving.service.grpc_interface")
        server, port = module.build_server(settings, predictor, memory, metrics)
    # Half a service would look like a whole one.
    except Exception as error:
        log.error("gRPC cannot be served: %s", error, exc_info=not isinstance(error, SettingsError))
        signal.raise_signal(signal.SIGTERM)
        return
    await server.start()
    print(f"listening at grpc://{host}:{port}", flush=True)
    try:
        await server.wait_for_termination()
    finally:
        await server.stop(settings.limits.answer_seconds)


def _listen(settings: ServiceSettings) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=settings.limits.connections)
        # Connections inherit it. The body of a small answer would wait 40 ms for the client to confirm its head.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise SettingsError(
            f"cannot listen at {settings.host}, port {settings.port}: {error.strerror or error}; choose another --host "
            "or --port (0 takes any free one)"
        ) from None


def _write_log() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter("%(asctime)s %(levelname)s %(message)s", TIME_FORMAT))
    for name in ("crackgate", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
