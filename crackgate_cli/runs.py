"""`crackgate runs`: the runs of a workspace, and one of them in detail."""

import json
from pathlib import Path
from typing import Annotated

import typer

from crackgate_cli.history import RunArgument, find_run, history_of
from crackgate_cli.options import JsonOption, WorkspaceOption, table_console

runs_app = typer.Typer(invoke_without_command=True)


@runs_app.callback()
def runs(context: typer.Context, workspace: WorkspaceOption = Path("workspace"), as_json: JsonOption = False) -> None:
    """List the runs of a workspace, or show one of them."""
    if context.invoked_subcommand is not None:
        context.obj = (workspace, as_json)
        return
    history = history_of(workspace)
    entries = [history.describe(run) for run in history.runs]
    if as_json:
        print(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2))
        return
    from crackgate_cli.tables.history import print_runs

    print_runs(table_console(), entries)


@runs_app.command("show")
def show_run(
    context: typer.Context,
    run: RunArgument,
    workspace: Annotated[Path | None, typer.Option(help="As of 'runs'.", show_default="workspace")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a run came to, and its lineage: from the released version back to the data."""
    general_workspace, generally_as_json = context.obj
    history = history_of(workspace or general_workspace)
    from crackgate.runs.details import describe_details
    from crackgate_cli.tables.history import print_details

    details = describe_details(history, find_run(history, run))
    if as_json or generally_as_json:
        print(details.model_dump_json(indent=2))
    else:
        print_details(table_console(), details)
