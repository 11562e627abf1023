"""`crackgate gate`: only the gate, on a model that may come from anywhere."""

from pathlib import Path
from typing import Annotated

import typer

from crackgate.runs.summary import Summary
from crackgate.runs.workspace import Workspace
from crackgate_cli.options import CacheOption, ConfigOption, SetOption, VerboseOption, WorkspaceOption, resolve_alias
from crackgate_cli.run_end import run_and_exit
from pipeline.request import RunRequest


def gate(
    model: Annotated[
        Path,
        typer.Option(
            help="Folder of a SavedModel with serving_default and predict_images, or 'production' or 'staged'."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(metavar="DIR|URL", help="Folder with one sub-folder of images per class; all are test images."),
    ],
    workspace: WorkspaceOption = Path("workspace"),
    config: ConfigOption = None,
    assignments: SetOption = None,
    cache: CacheOption = True,
    verbose: VerboseOption = False,
) -> None:
    """Judge a model from anywhere by photographs it has not seen. Nothing is released."""
    from pipeline.gate_run import judge_model

    def make(request: RunRequest) -> Summary:
        return judge_model(request, resolve_alias(Workspace(workspace).serving, model).resolve())

    run_and_exit(make, data, workspace, config, assignments, cache, verbose)
