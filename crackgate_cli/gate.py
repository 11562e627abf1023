"""`crackgate gate`: only the gate, on a model that may come from anywhere."""

from pathlib import Path
from typing import Annotated

import typer

from crackgate.config.configuration import load_config
from crackgate.runs.workspace import Workspace
from crackgate_cli.options import (
    CacheOption,
    ConfigOption,
    SetOption,
    VerboseOption,
    WorkspaceOption,
    console_on_a_copy_of,
)
from crackgate_cli.run_end import exit_with_verdict, report_usage_errors


def gate(
    model: Annotated[Path, typer.Option(help="Folder of a SavedModel with serving_default and predict_images.")],
    data: Annotated[Path, typer.Option(help="Folder with one sub-folder of images per class; all are test images.")],
    workspace: WorkspaceOption = Path("workspace"),
    config: ConfigOption = None,
    assignments: SetOption = None,
    cache: CacheOption = True,
    verbose: VerboseOption = False,
) -> None:
    """Judge a model, wherever it was trained, by photographs that it has never seen. Nothing is released."""
    from pipeline.gate_run import judge_model
    from pipeline.request import RunRequest

    place = Workspace(workspace.resolve())
    with report_usage_errors():
        settings = load_config(config, assignments)
        console = console_on_a_copy_of(1)
        request = RunRequest(console, data.resolve(), settings, place, cache, verbose)
        summary = judge_model(request, model.resolve())
    exit_with_verdict(console, place, summary)
