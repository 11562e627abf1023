"""One run from start to end: what is shown, what is logged, what is left behind."""

import logging
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from components.image_example_gen.reader_processes import started_helpers
from crackgate.config.configuration import Config, ConfigError
from crackgate.contracts.account import NOT_IN_CLASS_FOLDER, AccountRow
from crackgate.contracts.verdict import Verdict
from crackgate.gate.rules import gate_rules
from crackgate.images.image_folder import find_classes, find_files
from crackgate.model.positive_class import resolve_positive_class
from crackgate.runs.log_file import logged_to
from crackgate.runs.summary import Images, Summary, begin_summary
from crackgate.runs.workspace import Workspace
from pipeline.beam_profiles import check_beam, count_helpers
from pipeline.heavy_imports import without_collecting
from pipeline.interruption import interruptible
from pipeline.progress import ComponentEvents, LiveDisplay, PlainDisplay

log = logging.getLogger("crackgate")


def run(
    console: Console, data: Path, config: Config, workspace: Workspace, enable_cache: bool = True, verbose: bool = False
) -> Summary:
    """Runs the pipeline on `data`, shows its progress and writes the summary and the report to `runs/<run id>/`.

    Args:
        console: Not standard output itself, which is turned to the log file during the run.
        data: Absolute path of the image folder.
        config: The configuration.
        workspace: Where everything is written.
        enable_cache: Whether components may take over outputs of earlier runs.
        verbose: Show every log line on the terminal.

    Raises:
        ConfigError: `data` is no folder or lacks a configured class, there is no such weights file or signing key, no
            telling which class is the positive one, the gate names a class or slice that does not exist, or the
            cluster that `config.beam` names does not answer.
        WorkspaceBusyError: Another run holds the workspace.
        WorkspaceMovedError: The workspace was made elsewhere.
    """
    classes = resolve_classes(data, config)
    check_weights(config)
    _check_signing_key(config)
    gate_rules(classes, find_positive_class(config, classes), config.gate)
    warn_of_beam(console, config, data, workspace)

    def work(summary: Summary, events: ComponentEvents) -> None:
        if len(classes) < 2:
            _reject_classes(summary)
        else:
            _run_pipeline(summary, config, workspace, events, enable_cache)

    return record_run(console, data, classes, config, workspace, verbose, work)


def record_run(
    console: Console,
    data: Path,
    classes: list[str],
    config: Config,
    workspace: Workspace,
    verbose: bool,
    work: Callable[[Summary, ComponentEvents], None],
) -> Summary:
    """Does the work with the workspace to itself, shows its progress, and leaves log, summary and report behind.

    Args:
        console: See `run`, as for the others.
        data: Absolute path of the image folder.
        classes: Class names in label order.
        config: The configuration.
        workspace: Where everything is written.
        verbose: Show every log line on the terminal.
        work: Fills the summary in.

    Raises:
        WorkspaceBusyError: Another run holds the workspace.
        WorkspaceMovedError: The workspace was made elsewhere.
    """
    with workspace.locked():
        began = time.monotonic()
        folder = workspace.create_run_folder()
        log_file = workspace.logs / f"{folder.name}.log"
        summary = begin_summary(folder.name, data, classes, config, log_file)
        display = LiveDisplay(console) if console.is_terminal and not verbose else PlainDisplay(console)
        events = ComponentEvents(display)
        with display, logged_to(log_file, events, verbose):
            try:
                work(summary, events)
            finally:
                summary.seconds = round(time.monotonic() - began, 2)
                # Before the report: what was decided must not be lost with it.
                summary.write(folder)
                with events.timed("writing the report"):
                    _report(summary, folder)
                summary.write(folder)
    return summary


def resolve_classes(data: Path, config: Config) -> list[str]:
    """Returns the class names in label order.

    Raises:
        ConfigError: `data` is no folder, or lacks a configured class.
    """
    if not data.is_dir():
        raise ConfigError(f"--data: received {str(data)!r}, which is no folder; give one with a sub-folder per class")
    if not str(data).isprintable():
        raise ConfigError(f"--data: received {str(data)!r}; TFX needs a path of printable UTF-8: rename or link it")
    found = find_classes(data)
    missing = [name for name in config.data.classes if name not in found]
    if missing:
        raise ConfigError(
            f"data.classes: received {', '.join(map(repr, missing))}, but {str(data)!r} has no such folder of files; "
            f"it has {', '.join(map(repr, found)) or 'none'}"
        )
    return list(config.data.classes) or found


def warn_of_beam(console: Console, config: Config, data: Path, workspace: Workspace) -> None:
    """Says what may go wrong on the cluster, where there is one.

    Raises:
        ConfigError: It does not answer.
    """
    for warning in check_beam(config.beam, [data, workspace.pipeline_root]):
        console.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False, soft_wrap=True)


def check_weights(config: Config) -> None:
    """Refuses a weights file that is not there.

    Raises:
        ConfigError: There is no such file.
    """
    weights = config.train.weights
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise ConfigError(
            f"train.weights: received {weights!r}, allowed are 'imagenet', 'none' or the path of a weights file"
        )


def _check_signing_key(config: Config) -> None:
    """Before everything else, not after an hour of training."""
    if config.release.signing_key:
        from crackgate.releases.signatures import KeyFileError, load_signer

        try:
            load_signer(config.release.signing_key)
        except KeyFileError as error:
            raise ConfigError(f"release.signing_key: {error}") from None


def find_positive_class(config: Config, classes: list[str]) -> str | None:
    """Returns the positive class, or None where there is none.

    Raises:
        ConfigError: There is no such class, or no telling which one it is.
    """
    try:
        return resolve_positive_class(config.train.positive_class, classes)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _run_pipeline(
    summary: Summary, config: Config, workspace: Workspace, events: ComponentEvents, enable_cache: bool
) -> None:
    with started_helpers(count_helpers(config.beam, Path(summary.data))):
        with events.timed("starting TFX"), without_collecting():
            from pipeline.local_runner import run_local
        run_local(summary, config, workspace, events, enable_cache)


def _report(summary: Summary, folder: Path) -> None:
    """Writes the report; whatever goes wrong there is said and logged, and changes no verdict."""
    try:
        with interruptible():
            from crackgate.report.files import write_report

            summary.outputs |= write_report(summary, folder)
    except KeyboardInterrupt:
        summary.report_error = "interrupted"
    except Exception as error:
        log.info("%s", "".join(traceback.format_exception(error)))
        summary.report_error = f"{type(error).__name__}: {error}"


def _reject_classes(summary: Summary) -> None:
    files = [file.path.encode("utf-8", "backslashreplace").decode() for file in find_files(Path(summary.data))]
    reason = "no second class" if summary.classes else NOT_IN_CLASS_FOLDER
    rejected = [AccountRow(path=path, class_name="".join(summary.classes), reason=reason) for path in files]
    summary.images = Images(found=len(files), rejected=rejected)
    found = f"one class, {summary.classes[0]!r}" if summary.classes else "no class folder with a file in it"
    sentence = (
        f"{summary.data!r} has {found} ({len(files)} files in all): a classifier needs a folder with at least two "
        "sub-folders of images, one per class"
    )
    summary.conclude(Verdict.DATA_REJECTED, [sentence])
