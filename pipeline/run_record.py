"""The record of a run: progress, log, summary and report."""

import logging
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from rich.markup import escape

from crackgate.atomic_files import write_text
from crackgate.config.configuration import Config, ConfigError
from crackgate.config.document import write_document
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.runs.conclusion import conclude
from crackgate.runs.log_file import log_to_file
from crackgate.runs.notes import RunNotes, write_notes
from crackgate.runs.summary import Summary, begin_summary
from crackgate.runs.temporary_folder import take_temporary_folder
from pipeline.interruption import interruptible
from pipeline.progress import ComponentEvents, LiveDisplay, PlainDisplay
from pipeline.request import RunRequest

log = logging.getLogger("crackgate")

# A run's configuration, which `--config` reads.
CONFIG_FILE = "config.toml"


def record_run(
    request: RunRequest,
    classes: list[str],
    positive: PositiveClasses,
    work: Callable[[Summary, ComponentEvents], None],
) -> Summary:
    """Locks the workspace, lets `work` fill the summary in, and leaves log, summary and report behind.

    It first says which of the classes are positive.

    Raises:
        WorkspaceBusyError: Another run holds the workspace.
        WorkspaceMovedError: The workspace was made elsewhere.
        WorkspaceUnusableError: The workspace cannot be written to, or TFX could not use its path.
    """
    console, workspace = request.console, request.workspace
    if len(classes) > 1:
        warning = "" if positive.names else "[yellow]warning:[/] "
        console.print(warning + escape(positive.in_words(classes)), highlight=False, soft_wrap=True)
    with workspace.locked() as warning:
        request.warn(filter(None, [warning]))
        take_temporary_folder()
        folder = workspace.create_run_folder()
        if request.notes != RunNotes():
            write_notes(folder, request.notes)
        log_file = workspace.logs / f"{folder.name}.log"
        summary = begin_summary(folder.name, request.data, classes, positive, request.config, log_file, request.began)
        display = LiveDisplay(console) if console.file.isatty() and not request.verbose else PlainDisplay(console)
        events = ComponentEvents(display)
        with display, log_to_file(log_file, events, request.verbose):
            try:
                with interruptible() as interruption:
                    work(summary, events)
            except ConfigError as error:
                conclude(summary, {}, failures=[str(error)])
                raise
            except (Exception, KeyboardInterrupt) as error:
                log.info("%s", "".join(traceback.format_exception(error)))
                step = events.end("failed") or "the run"
                conclude(summary, {}, failures=[describe_failure(error, step, interruption.received)])
            finally:
                summary.seconds = round(time.time() - request.began, 2)
                with events.timed("writing the report"):
                    write_record(summary, folder)
                # The report cannot say how long it took.
                summary.seconds = round(time.time() - request.began, 2)
                summary.write(folder)
    return summary


def describe_failure(error: BaseException, step: str, interrupted: bool) -> str:
    """The reason why a run came to no verdict; `step` is a component, or what else was going on."""
    return f"interrupted during {step}" if interrupted else f"{step}: {type(error).__name__}: {error}"


def write_record(summary: Summary, folder: Path) -> None:
    """Writes summary and report of a concluded run; an error of the report is said there, and changes no verdict."""
    # Before the report: what was decided must not be lost with it.
    summary.write(folder)
    _write_config(summary, folder / CONFIG_FILE)
    try:
        with interruptible():
            from crackgate.report.files import write_report

            summary.outputs |= write_report(summary, folder)
    except KeyboardInterrupt:
        summary.report_error = "interrupted"
    except Exception as error:
        log.info("%s", "".join(traceback.format_exception(error)))
        summary.report_error = f"{type(error).__name__}: {error}"
    summary.write(folder)


def _write_config(summary: Summary, file: Path) -> None:
    heading = f"The effective configuration of run {summary.run_id}, by crackgate {summary.crackgate_version}."
    write_text(file, write_document(Config.model_validate(summary.config), heading))
    summary.outputs["config"] = str(file)
