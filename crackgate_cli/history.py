"""The runs of a workspace, for `runs` and `compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crackgate.runs.workspace import Workspace
from crackgate_cli.options import EXIT_USAGE, fail

if TYPE_CHECKING:
    from crackgate.runs.history import History, Run

RunArgument = Annotated[
    str,
    typer.Argument(help="A run's id, its beginning or its name, 'latest', or a released version's number."),
]


def history_of(workspace: Path) -> "History":
    """The runs of a workspace; ends the command where there is none."""
    from crackgate.runs.history import HistoryError, read_history

    try:
        return read_history(Workspace(workspace.resolve()))
    except HistoryError as error:
        fail(str(error), EXIT_USAGE)


def find_run(history: "History", text: str) -> "Run":
    """The run that the argument names; ends the command where there is none."""
    from crackgate.runs.history import HistoryError

    try:
        return history.find(text)
    except HistoryError as error:
        fail(str(error), EXIT_USAGE)
