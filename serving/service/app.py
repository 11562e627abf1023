"""The HTTP interface: TensorFlow Serving's REST paths, the service's state, and a page to try it."""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from crackgate.import_lock import import_alone
from serving.service.errors import Code, ServiceError, invalid, shortened, unknown_model
from serving.service.guard import Guard, render_error
from serving.service.heat_map import HeatMapper
from serving.service.metrics import CONTENT_TYPE, Metrics
from serving.service.model_status import find_statuses, render_statuses
from serving.service.page import PAGE, PAGE_POLICY
from serving.service.predictor import Predictor
from serving.service.request_memory import RequestMemory
from serving.service.rest_payload import render_answers
from serving.service.settings import ServiceSettings

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
_JSON = "application/json"


def build_app(
    settings: ServiceSettings,
    predictor: Predictor,
    heat_mapper: HeatMapper,
    memory: RequestMemory,
    metrics: Metrics,
    lifespan: Lifespan,
) -> Guard:
    """Puts the routes together, behind the guard; `lifespan` runs while the service does."""
    # Its pages about the interface load scripts from elsewhere.
    app = FastAPI(
        title="crackgate", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, lifespan=lifespan
    )
    guard = Guard(app, settings, memory, metrics)
    versions = predictor.versions

    @app.exception_handler(ServiceError)
    async def tell_error(_request: Request, error: ServiceError) -> Response:
        guard.count_rejection(error.code)
        status, headers, body = render_error(error)
        return Response(body, status, {name.decode(): value.decode() for name, value in headers})

    @app.exception_handler(HTTPException)
    async def tell_wrong_path(request: Request, error: HTTPException) -> Response:
        # TensorFlow Serving calls a path or a method that it does not know malformed, below /v1.
        known = request.url.path.startswith("/v1/")
        message = f"Malformed request: {request.method} {shortened(request.url.path)}"
        return _json({"error": message}, 400 if known else error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def tell_failure(_request: Request, _error: Exception) -> Response:
        return _json({"error": "the service failed; its log says why"}, Code.INTERNAL.value)

    @app.post("/v1/models/{name}:predict", name="predict")
    @app.post("/v1/models/{name}/versions/{number}:predict", name="predict")
    @app.post("/v1/models/{name}/labels/{label}:predict", name="predict")
    async def predict(request: Request, name: str, number: str | None = None, label: str | None = None) -> Response:
        check_name(name)
        served = versions.get(_version_number(number), label)
        wanted = await predictor.parse(await take_body(request))
        outputs = await predictor.predict(served, wanted.signature, wanted.values)
        return Response(render_answers(outputs, wanted.by_row), media_type=_JSON)

    @app.get("/v1/models/{name}", name="status")
    @app.get("/v1/models/{name}/versions/{number}", name="status")
    @app.get("/v1/models/{name}/labels/{label}", name="status")
    async def status(name: str, number: str | None = None, label: str | None = None) -> Response:
        check_name(name)
        version = _version_number(number) if label is None else versions.get(label=label).number
        wanted = find_statuses(name, versions.statuses(), version)
        return Response(render_statuses(wanted), media_type=_JSON)

    @app.get("/v1/models/{name}/metadata", name="metadata")
    @app.get("/v1/models/{name}/versions/{number}/metadata", name="metadata")
    @app.get("/v1/models/{name}/labels/{label}/metadata", name="metadata")
    def metadata(name: str, number: str | None = None, label: str | None = None) -> Response:
        check_name(name)
        served = versions.get(_version_number(number), label)
        reports = import_alone("serving.service.model_reports")
        return Response(reports.render_metadata(reports.report_metadata(name, served), served), media_type=_JSON)

    @app.post("/heatmap", name="heatmap")
    async def heat_map(request: Request, tile: str = "") -> Response:
        return _json(await heat_mapper.look(versions.get(), await take_body(request), tile))

    @app.api_route("/healthz", methods=["GET", "HEAD"], name="healthz")
    async def healthz() -> Response:
        return _json({"alive": True})

    @app.api_route("/readyz", methods=["GET", "HEAD"], name="readyz")
    async def readyz() -> Response:
        served, refused, over = versions.served, versions.refused, versions.passed_over
        content = {
            "ready": served is not None,
            "version": None if served is None else served.number,
            "engine": None if served is None else served.model.engine,
            "loading": versions.loading,
            "refused": None if refused is None else {"version": refused.number, "reason": refused.error},
            "passed_over": None if over is None else {"version": over.number, "reason": over.error},
        }
        return _json(content, 200 if served else 503)

    @app.get("/metrics", name="metrics")
    async def show_metrics() -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    @app.get("/", name="page")
    async def page() -> Response:
        return Response(PAGE, headers={"content-security-policy": PAGE_POLICY}, media_type="text/html")

    async def take_body(request: Request) -> bytes:
        """The guard gives it whole; `request.body()` would keep it until the answer is there."""
        body: bytes = (await request.receive())["body"]
        return body

    def check_name(name: str) -> None:
        if name != settings.name:
            raise unknown_model(name, settings.name)

    return guard


def _json(content: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(content), status, headers, _JSON)


def _version_number(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 19:
        raise invalid(f"Failed to convert version: {shortened(text)} to numeric.")
    return int(text)
