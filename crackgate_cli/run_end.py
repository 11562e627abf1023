"""How `run` and `gate` end: with an error in one line, or with the closing table and the verdict's exit code."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console

from crackgate.config.configuration import ConfigError
from crackgate.runs.summary import SUMMARY_FILE, Summary
from crackgate.runs.workspace import Workspace, WorkspaceBusyError, WorkspaceMovedError
from crackgate_cli.options import EXIT_FAILED, EXIT_USAGE, fail
from crackgate_cli.tables.closing import print_closing


@contextmanager
def report_usage_errors() -> Iterator[None]:
    """Ends the command where the configuration or the workspace cannot be used."""
    try:
        yield
    except (ConfigError, WorkspaceMovedError) as error:
        fail(str(error), EXIT_USAGE)
    except WorkspaceBusyError as error:
        fail(str(error), EXIT_FAILED)


def exit_with_verdict(console: Console, workspace: Workspace, summary: Summary) -> NoReturn:
    """Prints the closing table and ends the command with the verdict's exit code."""
    print_closing(console, summary, str(workspace.runs / summary.run_id / SUMMARY_FILE))
    raise typer.Exit(summary.exit_code)
