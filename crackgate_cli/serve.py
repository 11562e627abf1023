"""`crackgate serve`: the newest release, over HTTP and gRPC."""

import os
from pathlib import Path
from typing import Annotated

import typer

from crackgate.contracts.engine_choice import EngineChoice
from crackgate.releases import State
from crackgate.runs.workspace import Workspace
from crackgate_cli.options import (
    EXIT_USAGE,
    EngineOption,
    PublicKeyOption,
    ServingOption,
    fail,
    is_alias,
    read_public_key,
)
from serving.service.settings import Limits, ServiceSettings, SettingsError, check_exposure, check_name, read_token


def serve(
    workspace: Annotated[Path, typer.Option(help="Workspace whose newest release answers.")] = Path("workspace"),
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder of one version that answers, and no other; or 'staged': the newest that waits for approval.",
            show_default="production",
        ),
    ] = None,
    serving: ServingOption = None,
    public_key: PublicKeyOption = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = ServiceSettings.host,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of HTTP; 0 takes any free one.")
    ] = ServiceSettings.port,
    grpc_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of gRPC, off by default; 0 takes any free one.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model, in the paths.")] = ServiceSettings.name,
    token_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable with the token that clients have to send.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with that token.")] = None,
    without_token: Annotated[
        bool, typer.Option("--without-token", help="Listen beyond this machine, and let everybody in.")
    ] = False,
    max_request_mib: Annotated[
        int, typer.Option(min=1, help="Size of a request's body, in MiB.")
    ] = Limits.request_bytes // 2**20,
    max_queue: Annotated[int, typer.Option(min=1, help="Images that may wait; more get 429.")] = Limits.queued_images,
    max_batch: Annotated[int, typer.Option(min=1, help="Images that are scored together.")] = Limits.batch_images,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds until an answer is given up.")
    ] = Limits.answer_seconds,
    client_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a client may take to send a request.")
    ] = Limits.receive_seconds,
    engine: EngineOption = EngineChoice.FASTEST,
) -> None:
    """Serve the newest release over HTTP, and gRPC. It answers as TensorFlow Serving; a page to try it is at /."""
    try:
        alias = str(model) if model is not None and is_alias(model) else "production"
        is_one_version = model is not None and not is_alias(model)
        if is_one_version and serving is not None:
            raise SettingsError("received --model and --serving: give one of them")
        folder = (model if is_one_version else None) or serving or Workspace(workspace.resolve()).serving
        if not folder.is_dir():
            raise SettingsError(f"there is no folder {str(folder)!r}: run 'crackgate run' first, or give another one")
        check_name(name)
        token = read_token(token_file, token_env, dict(os.environ))
        check_exposure(host, token, without_token)
        limits = Limits(
            request_bytes=max_request_mib * 2**20,
            buffered_bytes=max(max_request_mib * 2**20, Limits.buffered_bytes),
            queued_images=max_queue,
            batch_images=max_batch,
            receive_seconds=client_timeout,
            answer_seconds=timeout,
        )
        settings = ServiceSettings(
            folder=folder,
            is_one_version=is_one_version,
            state=State.STAGED if alias == "staged" else State.RELEASED,
            public_key=read_public_key(public_key),
            host=host,
            port=port,
            grpc_port=grpc_port,
            name=name,
            token=token,
            engine=engine,
            limits=limits,
        )
        from serving.service.server import serve as serve_http

        serve_http(settings)
    except SettingsError as error:
        fail(str(error), EXIT_USAGE)
