"""The command line. TFX and TensorFlow are imported where a command needs them, so that help and errors are instant."""

import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from pipeline.command_line import EXIT_FAILED, EXIT_USAGE, WorkspaceOption, console_on_a_copy_of, fail
from pipeline.config import ConfigError, load_config
from pipeline.export_tflite_command import export_tflite
from pipeline.inspect_command import inspect
from pipeline.kubeflow_commands import kubeflow_app
from pipeline.predict_command import predict
from pipeline.serve_command import serve
from pipeline.train_worker_command import train_worker
from pipeline.workspace import Workspace, WorkspaceBusyError, WorkspaceMovedError

if TYPE_CHECKING:
    from pipeline.history import History, Run

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turns a folder of labelled surface photographs into a released, gated crack classifier.",
)


def main() -> None:
    """The entry point of the command `crackgate`."""
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"crackgate {importlib.metadata.version('crackgate')}")
        raise typer.Exit()


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options of every command."""


@app.command(
    epilog="Exit codes: 0 released, 2 usage or configuration, 3 the model did not pass its gate, "
    "4 the data did not pass its gate, 1 anything else."
)
def run(
    data: Annotated[Path, typer.Option(help="Folder with one sub-folder of images per class.")],
    workspace: WorkspaceOption = Path("workspace"),
    config: Annotated[Path | None, typer.Option(help="Configuration, TOML.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Set one field of the configuration; repeatable."),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Keep images of one site, photograph or day in one split: the pattern's first group, searched in the "
            "path, names it. Without it, copies of one picture are kept together.",
        ),
    ] = None,
    cache: Annotated[bool, typer.Option(help="Take over what earlier runs did, where nothing changed.")] = True,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the logs of TFX and TensorFlow, too.")] = False,
) -> None:
    """Run the pipeline: from a folder of photographs to a released model."""
    from pipeline.run import run as run_pipeline

    try:
        if group_by is not None:
            assignments = [*(assignments or []), f"data.group_by={json.dumps(group_by)}"]
        settings = load_config(config, assignments)
        summary = run_pipeline(
            console_on_a_copy_of(1), data.resolve(), settings, Workspace(workspace.resolve()), cache, verbose
        )
    except (ConfigError, WorkspaceMovedError) as error:
        fail(str(error), EXIT_USAGE)
    except WorkspaceBusyError as error:
        fail(str(error), EXIT_FAILED)
    raise typer.Exit(summary.exit_code)


@app.command(
    epilog="Exit codes: 0 passed, 2 usage or configuration, 3 the model did not pass, "
    "4 the data did not pass its checks, 1 anything else."
)
def gate(
    model: Annotated[Path, typer.Option(help="Folder of a SavedModel with serving_default and predict_images.")],
    data: Annotated[Path, typer.Option(help="Folder with one sub-folder of images per class; all are test images.")],
    workspace: WorkspaceOption = Path("workspace"),
    config: Annotated[Path | None, typer.Option(help="Configuration, TOML.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Set one field of the configuration; repeatable."),
    ] = None,
    cache: Annotated[bool, typer.Option(help="Take over what earlier runs did, where nothing changed.")] = True,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the logs of TFX and TensorFlow, too.")] = False,
) -> None:
    """Judge a model, wherever it was trained, by photographs that it has never seen. Nothing is released."""
    from pipeline.gate_command import gate_model

    try:
        summary = gate_model(
            console_on_a_copy_of(1),
            model.resolve(),
            data.resolve(),
            load_config(config, assignments),
            Workspace(workspace.resolve()),
            cache,
            verbose,
        )
    except (ConfigError, WorkspaceMovedError) as error:
        fail(str(error), EXIT_USAGE)
    except WorkspaceBusyError as error:
        fail(str(error), EXIT_FAILED)
    raise typer.Exit(summary.exit_code)


@app.command("sample-data")
def sample_data(
    folder: Annotated[Path, typer.Argument(help="Folder to create; Positive/ and Negative/ go into it.")],
    count: Annotated[int, typer.Option(min=2, help="Images in all, half of each class.")] = 1200,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same images.")] = 0,
) -> None:
    """Write synthetic photographs of cracked and of sound concrete: 227x227 JPEG."""
    from pipeline.sample_data import write_sample_data

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(f"{str(folder)!r} is not an empty folder: choose another one, or remove it", EXIT_USAGE)
    # Under its name only when it is whole: half a data set would train without complaint.
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("drawing photographs", total=count)
        write_sample_data(unfinished, count, seed, on_written=lambda _: progress.advance(task))
    if folder.exists():
        folder.rmdir()
    unfinished.rename(folder)
    print(f"{count} images in {folder}")


app.command(
    epilog="Exit codes: 0 all scored, 1 a file could not be scored, 2 usage, 5 an image was given a label of --fail-on."
)(predict)
app.command()(serve)
app.command(epilog="Exit codes: 0 both files written, 3 int8 was refused, 2 usage, 1 anything else.")(export_tflite)
app.command()(train_worker)

app.add_typer(kubeflow_app, name="kubeflow")


app.command(epilog="Exit codes: 0 all inspected, 1 a photograph could not be inspected, 2 usage.")(inspect)


runs_app = typer.Typer(invoke_without_command=True)
app.add_typer(runs_app, name="runs")

RunArgument = Annotated[
    str,
    typer.Argument(help="A run id or the beginning of one, 'latest', or a released version's number."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@runs_app.callback()
def runs(context: typer.Context, workspace: WorkspaceOption = Path("workspace"), as_json: JsonOption = False) -> None:
    """List the runs of a workspace, or show one of them."""
    if context.invoked_subcommand is not None:
        context.obj = (workspace, as_json)
        return
    history = _history(workspace)
    entries = [history.describe(run) for run in history.runs]
    if as_json:
        print(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2))
        return
    from pipeline.history_tables import print_runs

    print_runs(Console(), entries)


@runs_app.command("show")
def show_run(
    context: typer.Context,
    run: RunArgument,
    workspace: Annotated[Path | None, typer.Option(help="As of 'runs'.", show_default="workspace")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a run came to, and its lineage: from the released version back to the data."""
    general_workspace, generally_as_json = context.obj
    history = _history(workspace or general_workspace)
    from pipeline.history_tables import print_details
    from pipeline.run_details import describe_details

    details = describe_details(history, _find_run(history, run))
    if as_json or generally_as_json:
        print(details.model_dump_json(indent=2))
    else:
        print_details(Console(), details)


@app.command("compare")
def compare_runs(
    first: RunArgument,
    second: RunArgument,
    workspace: WorkspaceOption = Path("workspace"),
    as_json: JsonOption = False,
) -> None:
    """Show two runs side by side: figures, data, configuration, versions and durations."""
    history = _history(workspace)
    from pipeline.comparison import compare
    from pipeline.history_tables import print_comparison

    comparison = compare(history, _find_run(history, first), _find_run(history, second))
    if as_json:
        print(comparison.model_dump_json(indent=2))
    else:
        print_comparison(Console(), comparison)


ServingOption = Annotated[
    Path | None,
    typer.Option(help="Serving directory, where it is not that of a workspace.", show_default="WORKSPACE/serving"),
]


@app.command(epilog="Exit codes: 0 listed, 1 a record cannot be read, 2 usage: there is no such serving directory.")
def versions(
    workspace: WorkspaceOption = Path("workspace"), serving: ServingOption = None, as_json: JsonOption = False
) -> None:
    """List the released versions, which one is in use, and which were withdrawn, when, by whom and why."""
    from components.serving_directory import ManifestError
    from pipeline.version_tables import describe_versions, print_versions

    try:
        entries = describe_versions(_serving_dir(workspace, serving))
    except ManifestError as error:
        fail(str(error), EXIT_FAILED)
    if as_json:
        print(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2))
    else:
        print_versions(Console(), entries)


@app.command(
    epilog="Exit codes: 0 everything is what was released, 1 something is not, or a record cannot be read, "
    "2 usage: there is no such version or key."
)
def verify(
    version: Annotated[
        int | None, typer.Argument(min=0, help="A version; all of them, withdrawn ones included, without it.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a released version that is somewhere else, in place of VERSION.")
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="PEM file of the Ed25519 key that must have signed it.")
    ] = None,
    workspace: WorkspaceOption = Path("workspace"),
    serving: ServingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check released versions byte by byte against what was judged and released, and their signatures."""
    from components.serving_directory import ManifestError, list_versions
    from components.serving_directory import verify as verify_version
    from components.serving_directory.signing import KeyFileError, load_public_key
    from pipeline.version_tables import describe_finding, print_findings

    if model is not None and version is not None:
        fail(f"received both version {version} and --model {str(model)!r}: give one of the two", EXIT_USAGE)
    if model is not None and not model.is_dir():
        fail(f"--model: received {str(model)!r}, which is no folder", EXIT_USAGE)
    try:
        key = None if public_key is None else load_public_key(public_key)
    except KeyFileError as error:
        fail(f"--public-key: {error}", EXIT_USAGE)
    if model is not None:
        findings = [verify_version(model, key)]
    else:
        try:
            known = list_versions(_serving_dir(workspace, serving))
        except ManifestError as error:
            fail(str(error), EXIT_FAILED)
        # A withdrawn version that was deleted leaves its record alone.
        known = [each for each in known if each.folder.is_dir()]
        wanted = [each for each in known if version in (None, each.number)]
        if not wanted:
            numbers = ", ".join(str(each.number) for each in known) or "none"
            asked = "version" if version is None else f"version {version}"
            fail(f"there is no {asked} in {str(_serving_dir(workspace, serving))!r}; it has: {numbers}", EXIT_USAGE)
        findings = [verify_version(each.folder, key, each.number) for each in wanted]
    entries = [describe_finding(finding) for finding in findings]
    if as_json:
        print(json.dumps([entry.model_dump() for entry in entries], indent=2))
    else:
        print_findings(Console(), entries)
    if not all(entry.intact for entry in entries):
        raise typer.Exit(EXIT_FAILED)


@app.command(
    epilog="Exit codes: 0 done, or that version is in use already, 1 the version is not what was released or the "
    "serving directory cannot be changed, 2 usage: there is no such version."
)
def rollback(
    to: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="VERSION", help="Version to use; a withdrawn one is reinstated.", show_default="one before"
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "no reason given",
    workspace: WorkspaceOption = Path("workspace"),
    serving: ServingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Use an earlier version again: newer ones are withdrawn, and not released again until they are reinstated."""
    from components.serving_directory import ManifestError, ServingDirectoryError, roll_back
    from components.serving_directory.withdrawal import AlteredVersionError, NoSuchVersionError, describe_user

    try:
        done = roll_back(_serving_dir(workspace, serving), to, describe_user(), reason)
    except NoSuchVersionError as error:
        fail(str(error), EXIT_USAGE)
    except (AlteredVersionError, ServingDirectoryError, ManifestError) as error:
        fail(str(error), EXIT_FAILED)
    if as_json:
        print(json.dumps(vars(done), indent=2))
        return
    if not done.withdrawn and not done.reinstated:
        print(f"version {done.current} is in use already: nothing was changed")
        return
    for number in done.withdrawn:
        print(f"withdrew version {number}")
    print(f"version {done.current} is in use now{', reinstated' if done.reinstated else ''}")


def _serving_dir(workspace: Path, serving: Path | None) -> Path:
    folder = serving or Workspace(workspace).serving
    if not folder.is_dir():
        fail(
            f"there is no serving directory {str(folder)!r}: give the --workspace that 'crackgate run' wrote to, or "
            "--serving",
            EXIT_USAGE,
        )
    return folder.resolve()


def _history(workspace: Path) -> "History":
    from pipeline.history import HistoryError, read_history

    try:
        return read_history(Workspace(workspace.resolve()))
    except HistoryError as error:
        fail(str(error), EXIT_USAGE)


def _find_run(history: "History", text: str) -> "Run":
    from pipeline.history import HistoryError

    try:
        return history.find(text)
    except HistoryError as error:
        fail(str(error), EXIT_USAGE)
