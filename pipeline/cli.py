"""The command line. TFX and TensorFlow are imported where a command needs them, so that help and errors are instant."""

import importlib.metadata
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Column, Table

from pipeline.config import ConfigError, load_config
from pipeline.run_log import output_turned_to
from pipeline.workspace import Workspace, WorkspaceBusyError

if TYPE_CHECKING:
    from pipeline.history import History, Run

EXIT_FAILED = 1
EXIT_USAGE = 2

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turns a folder of labelled surface photographs into a released, gated crack classifier.",
)

WorkspaceOption = Annotated[Path, typer.Option(help="Folder that everything is written to.")]


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
            _console_on_a_copy_of(1), data.resolve(), settings, Workspace(workspace.resolve()), cache, verbose
        )
    except ConfigError as error:
        _fail(str(error), EXIT_USAGE)
    except WorkspaceBusyError as error:
        _fail(str(error), EXIT_FAILED)
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
            _console_on_a_copy_of(1),
            model.resolve(),
            data.resolve(),
            load_config(config, assignments),
            Workspace(workspace.resolve()),
            cache,
            verbose,
        )
    except ConfigError as error:
        _fail(str(error), EXIT_USAGE)
    except WorkspaceBusyError as error:
        _fail(str(error), EXIT_FAILED)
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
        _fail(f"{str(folder)!r} is not an empty folder: choose another one, or remove it", EXIT_USAGE)
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


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE|DIR...", help="Images, or folders of them.")],
    workspace: WorkspaceOption = Path("workspace"),
    model: Annotated[
        Path | None, typer.Option(help="Folder of a released version; the newest of the workspace otherwise.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead of a table.")] = False,
) -> None:
    """Score images with a released model. Exits with 1 when a file could not be scored."""
    missing = [str(path) for path in images if not path.exists()]
    if missing:
        _fail(f"no such file or folder: {', '.join(map(repr, missing))}", EXIT_USAGE)
    model_dir = model or _newest_version(Workspace(workspace))
    if not (model_dir / "saved_model.pb").is_file():
        _fail(f"{str(model_dir)!r} is no released version: it has no saved_model.pb", EXIT_USAGE)
    # TensorFlow greets on standard error, and nothing keeps it from doing so.
    with (
        _console_on_a_copy_of(2).status("scoring ..."),
        Path(os.devnull).open("w") as nowhere,
        output_turned_to(nowhere.fileno()),
    ):
        from pipeline.prediction import predict as predict_files
        from pipeline.prediction import read_card

        predictions, card = list(predict_files(model_dir, images)), read_card(model_dir)
    if as_json:
        print(json.dumps([prediction.model_dump() for prediction in predictions], indent=2))
    else:
        table = Table(Column("image", overflow="fold"), Column("label", overflow="fold"), "probability")
        for row in predictions:
            probability = "" if row.probability is None else f"{row.probability:.4f}"
            name = row.image if row.image.isprintable() else repr(row.image)
            table.add_row(escape(name), escape(row.label or f"error: {row.error}"), probability)
        Console().print(table)
        if card.get("positive_class") is not None:
            rule = f"{card['positive_class']!r} from a score of {card['threshold']:.4g} on"
            Console().print(rule, highlight=False, soft_wrap=True, markup=False)
    if any(prediction.error for prediction in predictions):
        raise typer.Exit(EXIT_FAILED)


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


def _history(workspace: Path) -> "History":
    from pipeline.history import HistoryError, read_history

    try:
        return read_history(Workspace(workspace.resolve()))
    except HistoryError as error:
        _fail(str(error), EXIT_USAGE)


def _find_run(history: "History", text: str) -> "Run":
    from pipeline.history import HistoryError

    try:
        return history.find(text)
    except HistoryError as error:
        _fail(str(error), EXIT_USAGE)


def _newest_version(workspace: Workspace) -> Path:
    versions = workspace.released_versions()
    if not versions:
        _fail(
            f"there is no released model in {str(workspace.serving)!r}: run 'crackgate run' first, or give --model",
            EXIT_USAGE,
        )
    return workspace.serving / str(versions[-1])


def _console_on_a_copy_of(descriptor: int) -> Console:
    """A console that stays the terminal's when the descriptor is turned elsewhere."""
    copy = os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="backslashreplace")
    return Console(file=copy, width=shutil.get_terminal_size().columns)


def _fail(message: str, code: int) -> NoReturn:
    Console(stderr=True).print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    raise typer.Exit(code)
