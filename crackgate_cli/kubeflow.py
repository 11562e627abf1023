"""`crackgate kubeflow`: the pipeline on Kubeflow Pipelines. kfp and TFX are imported where a command needs them."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from crackgate.config.configuration import Config, ConfigError, load_config
from crackgate.config.kubeflow import SIGNING_FOLDER, below, check_data, check_path
from crackgate.contracts.verdict import EXIT_CODES, Verdict
from crackgate.data_set.plausibility import describe_lack
from crackgate.gate.rules import gate_rules
from crackgate.pages.shown_text import show
from crackgate.runs.log_file import silence_output
from crackgate.runs.workspace import Workspace, WorkspaceBusyError, WorkspaceMovedError, WorkspaceUnusableError
from crackgate.storage.location import is_url
from crackgate_cli.local_paths import LocalPathsTyper
from crackgate_cli.options import (
    EXIT_FAILED,
    EXIT_USAGE,
    RUN_EXIT_CODES,
    CacheOption,
    ConfigOption,
    SetOption,
    WorkspaceOption,
    data_location,
    fail,
    table_console,
)
from crackgate_cli.run_end import exit_with_verdict
from pipeline.preconditions import check_own_code, check_weights, find_positive_classes, resolve_data_set

kubeflow_app = LocalPathsTyper(no_args_is_help=True, help="Run the pipeline on Kubeflow Pipelines v2.")

PipelineFile = Annotated[Path, typer.Argument(help="What 'crackgate kubeflow compile' wrote.")]
HostOption = Annotated[str, typer.Option(help="URL of Kubeflow Pipelines.")]
NamespaceOption = Annotated[
    str | None, typer.Option(help="The profile in which to run, where Kubeflow serves several users.")
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(help="File with a bearer token, read at each request; without, the one that Kubeflow mounts."),
]
TokenOption = Annotated[
    str, typer.Option(envvar="CRACKGATE_KFP_TOKEN", help="That token itself; best in the environment.")
]
CookiesOption = Annotated[
    str,
    typer.Option(envvar="CRACKGATE_KFP_COOKIES", help="'name=value; ...' of a browser that is logged in to Kubeflow."),
]


@kubeflow_app.callback()
def _check_extra() -> None:
    if importlib.util.find_spec("kfp") is None or importlib.util.find_spec("kfp.kubernetes") is None:
        fail(
            "kfp is not installed: install crackgate with its extra 'kubeflow', in its folder, by "
            "'uv sync --extra kubeflow' or pip install '.[kubeflow]'",
            EXIT_USAGE,
        )


@kubeflow_app.command("compile")
def compile_command(
    config: ConfigOption = None,
    assignments: SetOption = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL",
            help="The images, seen from here: the classes are read from it where data.classes names none.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, YAML.")] = Path("pipeline.yaml"),
    cache: CacheOption = True,
) -> None:
    """Write the pipeline as one file for Kubeflow Pipelines."""
    try:
        settings = load_config(config, assignments)
        classes = _classes(settings, data)
        check_weights(settings)
        check_own_code(settings)
        positive = find_positive_classes(settings, classes)
        gate_rules(classes, positive.names, settings.gate)
        if output.suffix not in (".yaml", ".yml"):
            raise ConfigError(f"--output: received {str(output)!r}, allowed are names that end with .yaml or .yml")
        if not output.parent.is_dir():
            raise ConfigError(f"--output: received {str(output)!r}, whose folder does not exist: make it first")
        if not settings.kubeflow.image:
            raise ConfigError(
                "kubeflow.image: received '', which image the tasks run in has to be said: --set "
                "kubeflow.image=registry.example.com/crackgate:0.1.0"
            )
        _check_signing(settings)
        with silence_output():
            _compile(classes, settings, cache, output)
    except ConfigError as error:
        fail(str(error), EXIT_USAGE)
    print(f"{output}: {positive.in_words(classes)}")


def _compile(classes: list[str], config: Config, cache: bool, output: Path) -> None:
    from kubeflow.compile.backend_checks import BackendRefusalError, check_file
    from kubeflow.compile.compiler import compile_pipeline
    from kubeflow.compile.definition import remote_pipeline

    pipeline = remote_pipeline(classes, config, cache)
    try:
        compile_pipeline(pipeline, classes, config, output)
        check_file(output)
    except BackendRefusalError as error:
        raise ConfigError(str(error)) from None


@kubeflow_app.command("check", epilog="Exit codes: 0 nothing is missing that can be asked for, 2 something is.")
def check_command(
    host: HostOption,
    pipeline: PipelineFile = Path("pipeline.yaml"),
    namespace: NamespaceOption = None,
    token_file: TokenFileOption = None,
    existing_token: TokenOption = "",
    cookies: CookiesOption = "",
) -> None:
    """Look before a run whether the cluster has what it needs."""
    _check_file(pipeline)
    from kubeflow.compile.backend_checks import BackendRefusalError, check_file
    from kubeflow.compiled_needs import read_needs
    from kubeflow.connection import Caller, CallerError, ConnectionToKubeflowError, connect
    from kubeflow.readiness import Look, Readiness, look_at_kubeflow, look_at_kubernetes

    looks: list[Look] = []
    try:
        check_file(pipeline)
        needs = read_needs(pipeline)
        client = connect(host, namespace, Caller(token_file, existing_token, cookies))
        looks += look_at_kubeflow(client, host, namespace)
    except (BackendRefusalError, CallerError) as error:
        fail(str(error), EXIT_USAGE)
    except ConnectionToKubeflowError as error:
        looks.append(Look(Readiness.MISSING, str(error)))
    looks += look_at_kubernetes(needs, namespace)
    for look in looks:
        print(show(f"{look.answer:<9}  {look.sentence}"))
    raise typer.Exit(EXIT_USAGE if any(look.answer == Readiness.MISSING for look in looks) else 0)


@kubeflow_app.command("submit", epilog=RUN_EXIT_CODES)
def submit_command(
    host: HostOption,
    pipeline: PipelineFile = Path("pipeline.yaml"),
    namespace: NamespaceOption = None,
    token_file: TokenFileOption = None,
    existing_token: TokenOption = "",
    cookies: CookiesOption = "",
    experiment: Annotated[str | None, typer.Option(help="Groups runs in the user interface.")] = None,
    run_name: Annotated[str | None, typer.Option(help="Shown in the user interface.")] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", metavar="NAME=VALUE", help="workspace, data or serving; repeatable."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the end, and exit with the verdict's code.")] = True,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait at most.")] = 86_400,
) -> None:
    """Start a run on a cluster."""
    _check_file(pipeline)
    given = dict(map(_parse_parameter, parameters or []))
    from kubeflow.compile.backend_checks import BackendRefusalError
    from kubeflow.connection import Caller, CallerError, ConnectionToKubeflowError
    from kubeflow.submission import SubmissionError, follow, submit

    caller = Caller(token_file, existing_token, cookies)
    try:
        client, submission = submit(host, pipeline, namespace, experiment, run_name, given, caller)
        print(f"run {submission.run_id}\n{submission.url}", flush=True)
        if not wait:
            return
        outcome = follow(client, submission, timeout)
    except (BackendRefusalError, CallerError) as error:
        fail(str(error), EXIT_USAGE)
    except (ConnectionToKubeflowError, SubmissionError) as error:
        fail(str(error), EXIT_FAILED)
    if outcome.verdict == Verdict.RELEASED:
        print("RELEASED, STAGED or UNCHANGED: the task 'report' shows which")
    else:
        print(outcome.verdict.upper())
    for reason in outcome.reasons:
        print(show(reason))
    if outcome.reasons:
        print(f"the report is shown at the task 'report'; logs/{submission.run_id}/ in the workspace has all logs")
    raise typer.Exit(EXIT_CODES[outcome.verdict])


@kubeflow_app.command("run-local", epilog=RUN_EXIT_CODES)
def run_local_command(
    data: Annotated[
        str, typer.Option(metavar="DIR|URL", help="Folder with one sub-folder of images per class, or a bucket's.")
    ],
    pipeline: PipelineFile = Path("pipeline.yaml"),
    workspace: WorkspaceOption = Path("workspace"),
    serving: Annotated[
        Path | None, typer.Option(help="Receives <version>/; serving/ in the workspace without.")
    ] = None,
) -> None:
    """Run a compiled pipeline on this machine. Each task is a process of its own, as kfp does it locally."""
    _check_file(pipeline)
    images = data_location(data)
    if not is_url(images) and not Path(images).is_dir():
        fail(f"--data: received {data!r}, which is no folder; give one with a sub-folder per class", EXIT_USAGE)
    place = Workspace(workspace.resolve())
    pushed_to = serving.resolve() if serving else place.serving
    for option, folder in (("--data", images), ("--workspace", place.root), ("--serving", pushed_to)):
        try:
            check_data(str(folder))
        except ValueError as error:
            fail(f"{option}: received {str(folder)!r}: {error}", EXIT_USAGE)
    from kubeflow.compile.backend_checks import BackendRefusalError, check_file
    from kubeflow.run_local import LocalRunError, run_on_this_machine

    try:
        check_file(pipeline)
        summary = run_on_this_machine(pipeline, images, place, pushed_to)
    except (BackendRefusalError, WorkspaceMovedError, WorkspaceUnusableError) as error:
        fail(str(error), EXIT_USAGE)
    except (WorkspaceBusyError, LocalRunError) as error:
        fail(str(error), EXIT_FAILED)
    exit_with_verdict(table_console(), place, summary, pushed_to)


def _check_signing(config: Config) -> None:
    key, secret = config.release.signing_key, config.kubeflow.signing_secret
    # Relative to a task's work folder there is never one.
    relative = bool(key) and not key.startswith(("/", "env:"))
    if relative or key.startswith(f"{SIGNING_FOLDER}/") != bool(secret):
        raise ConfigError(
            f"kubeflow.signing_secret: received {secret!r} with release.signing_key {key!r}; allowed are the name of a "
            f"Secret with its file below {SIGNING_FOLDER!r}, such as '{SIGNING_FOLDER}/release.key', no Secret with "
            "another absolute path or env:NAME that the Pusher's task has, or neither"
        )


def _classes(config: Config, data: str | None) -> list[str]:
    if data is not None:
        found = resolve_data_set(data_location(data), config)
        if lack := describe_lack(found):
            raise ConfigError(f"--data {str(data)!r}: {lack}")
        return found.classes
    if config.data.classes:
        return list(dict.fromkeys(config.data.class_of_folder.values()))
    raise ConfigError(
        "data.classes: received none, and they are part of the compiled pipeline: name them, for example --set "
        '\'data.classes=["Negative", "Positive"]\', or give --data, if the images can be seen from here'
    )


def _parse_parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or name not in ("workspace", "data", "serving"):
        fail(f"--parameter: received {text!r}, allowed are workspace=PATH, data=PATH and serving=PATH", EXIT_USAGE)
    try:
        check = check_data if name == "data" else check_path
        check(below("/", value) if name == "serving" else value)
    except ValueError as error:
        fail(f"--parameter: received {text!r}: {error}", EXIT_USAGE)
    return name, value


def _check_file(file: Path) -> None:
    if not file.is_file():
        fail(f"no such file: {str(file)!r}; 'crackgate kubeflow compile' writes it", EXIT_USAGE)
