"""`run` and `gate`: from their options to the closing table and the verdict's exit code."""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import psutil
import typer
from rich.console import Console

from crackgate.config.configuration import ConfigError, load_config
from crackgate.runs.next_steps import next_steps
from crackgate.runs.notes import NotesError, name_run
from crackgate.runs.summary import SUMMARY_FILE, Summary
from crackgate.runs.workspace import Workspace, WorkspaceBusyError, WorkspaceMovedError, WorkspaceUnusableError
from crackgate_cli.options import EXIT_FAILED, EXIT_USAGE, console_on_a_copy_of, data_location, fail
from crackgate_cli.tables.summary import print_summary
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
) -> NoReturn:
    """Makes the run that the options ask for, and ends the command."""
    console, place = console_on_a_copy_of(1), Workspace(workspace.resolve())
    try:
        settings = load_config(config, assignments)
        notes = name_run(name, tags or [])
        began = psutil.Process().create_time()
        summary = make(RunRequest(console, data_location(data), settings, place, cache, verbose, notes, began))
    except (ConfigError, NotesError, WorkspaceMovedError, WorkspaceUnusableError) as error:
        fail(str(error), EXIT_USAGE)
    except WorkspaceBusyError as error:
        fail(str(error), EXIT_FAILED)
    except OSError as error:
        fail(f"the run left no summary: {error.strerror or error}: {error.filename or place.runs}", EXIT_FAILED)
    exit_with_verdict(console, place, summary)


def exit_with_verdict(
    console: Console, workspace: Workspace, summary: Summary, serving: Path | None = None
) -> NoReturn:
    """Prints the closing table and what next, and ends the command with the verdict's exit code.

    `serving` is the serving directory, where it is not the workspace's.
    """
    steps = next_steps(summary, workspace, serving or workspace.serving)
    print_summary(console, summary, str(workspace.runs / summary.run_id / SUMMARY_FILE), steps)
    raise typer.Exit(summary.exit_code)
