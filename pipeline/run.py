"""`crackgate run`: from a folder of photographs to a released model, on this machine."""

from pathlib import Path

from rich.console import Console

from components.image_example_gen.reader_processes import reader_processes
from crackgate.config.configuration import Config
from crackgate.contracts.account import NOT_IN_CLASS_FOLDER, AccountRow
from crackgate.gate.rules import gate_rules
from crackgate.images.image_folder import find_files
from crackgate.runs.conclusion import conclude
from crackgate.runs.summary import Images, Summary
from crackgate.runs.workspace import Workspace
from pipeline.beam_profiles import count_reader_processes
from pipeline.heavy_imports import garbage_collection_paused
from pipeline.preconditions import check_signing_key, check_weights, find_positive_class, resolve_classes
from pipeline.progress import ComponentEvents
from pipeline.run_record import record_run


def run_pipeline(
    console: Console, data: Path, config: Config, workspace: Workspace, enable_cache: bool = True, verbose: bool = False
) -> Summary:
    """Runs the pipeline on `data`, shows its progress and writes the summary and the report to `runs/<run id>/`.

    Args:
        console: Not standard output itself, which is redirected to the log file during the run.
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
    check_signing_key(config)
    gate_rules(classes, find_positive_class(config, classes), config.gate)

    def work(summary: Summary, events: ComponentEvents) -> None:
        if len(classes) < 2:
            _reject_classes(summary)
            return
        with reader_processes(count_reader_processes(config.beam, data)):
            with events.timed("starting TFX"), garbage_collection_paused():
                from pipeline.local_runner import execute_release_pipeline
            execute_release_pipeline(summary, config, workspace, events, enable_cache)

    return record_run(console, data, classes, config, workspace, verbose, work)


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
    conclude(summary, {}, rejections=[sentence])
