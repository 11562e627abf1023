"""`crackgate runs`: the runs of a workspace, and one of them in detail."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from crackgate.pages.shown_text import show
from crackgate_cli.history import RunArgument, find_run, history_of
from crackgate_cli.local_paths import LocalPathsTyper
from crackgate_cli.options import EXIT_FAILED, EXIT_USAGE, JsonOption, WorkspaceOption, fail, table_console

if TYPE_CHECKING:
    from crackgate.runs.history import History

runs_app = LocalPathsTyper(invoke_without_command=True)


@runs_app.callback()
def runs(
    context: typer.Context,
    workspace: WorkspaceOption = Path("workspace"),
    wanted: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="WORDS",
            help="Runs with these words in id, name, tags, notes, verdict, version or data; repeatable.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write them as a page, with links to the reports.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs of a workspace, show or note one of them."""
    other = context.invoked_subcommand or ("--json" if as_json else None)
    if html is not None and other:
        fail(f"received --html and {other}: give one of the two", EXIT_USAGE)
    if context.invoked_subcommand is not None:
        context.obj = (workspace, as_json)
        return
    history = history_of(workspace)
    words = " ".join(wanted or [])
    if html is not None:
        _write_page(history, words, html)
    entries = [entry for entry in map(history.describe, history.runs) if entry.mentions(words)]
    if as_json:
        print(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2))
        return
    from crackgate_cli.tables.history import print_runs

    print_runs(table_console(), entries)


def _write_page(history: "History", words: str, file: Path) -> NoReturn:
    """Writes the page, and ends the command."""
    from crackgate.runs.index_page import write_index_page

    try:
        write_index_page(history, lambda entry: entry.mentions(words), file)
    except OSError as error:
        fail(f"--html: cannot write {str(file)!r}: {error.strerror}; give a file in a folder that is there", EXIT_USAGE)
    print(file)
    raise typer.Exit


@runs_app.command("show")
def show_run(
    context: typer.Context,
    run: RunArgument,
    workspace: Annotated[Path | None, typer.Option(help="As of 'runs'.", show_default="workspace")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a run came to, and its lineage. It leads from the released version back to the data."""
    general_workspace, generally_as_json = context.obj
    history = history_of(workspace or general_workspace)
    from crackgate.runs.details import describe_details
    from crackgate_cli.tables.history import print_details

    details = describe_details(history, find_run(history, run))
    if as_json or generally_as_json:
        print(json.dumps(details.model_dump(mode="json"), indent=2))
    else:
        print_details(table_console(), details)


@runs_app.command("note")
def note_run(
    context: typer.Context,
    run: RunArgument,
    text: Annotated[str | None, typer.Argument(help="A note, which is added to those that are there.")] = None,
    name: Annotated[str | None, typer.Option(help="The run's name from now on.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="A tag to add; repeatable.")] = None,
    untag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="A tag to remove; repeatable.")] = None,
    workspace: Annotated[Path | None, typer.Option(help="As of 'runs'.", show_default="workspace")] = None,
) -> None:
    """Name a run, tag it, or add a note to it. 'runs' and its page show them."""
    history = history_of(workspace or context.obj[0])
    found = find_run(history, run)
    from crackgate.releases.withdrawal import describe_user
    from crackgate.runs.notes import NotesError, add_notes

    if text is None and name is None and not tag and not untag:
        fail("received nothing to note: give a text, --name, --tag or --untag", EXIT_USAGE)
    folder = history.workspace.runs / found.run_id
    try:
        notes = add_notes(folder, describe_user(), name, tag or [], untag or [], text)
    except NotesError as error:
        fail(str(error), EXIT_USAGE)
    except OSError as error:
        fail(f"nothing was noted: {error.filename or str(folder)!r}: {error.strerror}", EXIT_FAILED)
    said = [f"name {notes.name!r}" if notes.name else "no name", f"tags: {', '.join(notes.tags) or 'none'}"]
    print(show(f"{found.run_id}: {', '.join(said)}; notes: {len(notes.notes)}"))
