"""`run` and `gate`: from their options to the closing table and the verdict's exit code."""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import psutil
import typer
from rich.console import Console
from rich.markup import escape

from crackgate.config.configuration import ConfigError, load_config
from crackgate.runs.mlflow_log import MlflowError, check_mlflow, hide_password, log_run
from crackgate.runs.next_steps import next_steps
from crackgate.runs.notes import NotesError, RunNotes, name_run
from crackgate.runs.summary import SUMMARY_FILE, Summary
from crackgate.runs.workspace import Workspace, WorkspaceBusyError, WorkspaceMovedError, WorkspaceUnusableError
from crackgate_cli.options import EXIT_FAILED, EXIT_USAGE, console_on_a_copy_of, data_location, fail
from crackgate_cli.tables.summary import print_summary
from pipeline.progress import print_warning
from pipeline.request import RunRequest


def run_and_exit(
    make: Callable[[RunRequest], Summary],
    data: str,
    workspace: Path,
    config: Path | None,
    assignments: list[str] | None,
    cache: bool,
    verbose: bool,
    name: str | None = None,
    tags: list[str] | None = None,
    mlflow: str | None = None,
) -> NoReturn:
    """Makes the run that the options ask for, and ends the command."""
    console, place = console_on_a_copy_of(1), Workspace(workspace.resolve())
    try:
        settings = load_config(config, assignments)
        notes = name_run(name, tags or [])
        if mlflow is not None:
            check_mlflow(mlflow)
        began = psutil.Process().create_time()
        summary = make(RunRequest(console, data_location(data), settings, place, cache, verbose, notes, began))
    except (ConfigError, MlflowError, NotesError, WorkspaceMovedError, WorkspaceUnusableError) as error:
        fail(str(error), EXIT_USAGE)
    except WorkspaceBusyError as error:
        fail(str(error), EXIT_FAILED)
    except OSError as error:
        fail(f"the run left no summary: {error.strerror or error}: {error.filename or place.runs}", EXIT_FAILED)
    if mlflow is not None:
        _log_to_mlflow(console, mlflow, summary, notes, place.runs / summary.run_id)
    exit_with_verdict(console, place, summary)


def _log_to_mlflow(console: Console, uri: str, summary: Summary, notes: RunNotes, folder: Path) -> None:
    """Logs the run; what goes wrong there is said, and changes nothing of the run, which is over."""
    where = f"MLflow at {hide_password(uri)}"
    try:
        run = log_run(uri, summary, notes, folder)
    except (Exception, KeyboardInterrupt) as error:
        reason = hide_password(f"{type(error).__name__}: {error}".splitlines()[0])
        print_warning(console, f"the run is not, or not wholly, in {where}: {reason}; all of it is in {str(folder)!r}")
        return
    console.print(f"logged to {escape(where)} as run {run}", highlight=False, soft_wrap=True)


def exit_with_verdict(
    console: Console, workspace: Workspace, summary: Summary, serving: Path | None = None
) -> NoReturn:
    """Prints the closing table and what next, and ends the command with the verdict's exit code.

    `serving` is the serving directory, where it is not the workspace's.
    """
    steps = next_steps(summary, workspace, serving or workspace.serving)
    print_summary(console, summary, str(workspace.runs / summary.run_id / SUMMARY_FILE), steps)
    raise typer.Exit(summary.exit_code)
