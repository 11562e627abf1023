"""`crackgate run`: from a folder of photographs to a released model."""

import json
from pathlib import Path
from typing import Annotated

import typer

from crackgate.storage.location import looks_like_url
from crackgate_cli.options import CacheOption, ConfigOption, SetOption, VerboseOption, WorkspaceOption, data_location
from crackgate_cli.run_end import run_and_exit


def run(
    data: Annotated[
        str,
        typer.Option(
            metavar="DIR|URL", help="Folder with one sub-folder of images per class, or s3://, gs:// or az://."
        ),
    ],
    workspace: WorkspaceOption = Path("workspace"),
    config: ConfigOption = None,
    assignments: SetOption = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="A CSV file with the columns path and label, and split and group where you have them. Without it, the "
            "folders name the classes.",
        ),
    ] = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Keep images of one site, photograph or day in one split: the pattern's first group, searched in the "
            "path, names it. Without it, copies of one picture are kept together.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run, for 'crackgate runs'.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Tag of the run; repeatable.")] = None,
    mlflow: Annotated[
        str | None,
        typer.Option(metavar="URI", help="MLflow's tracking server, which the run is logged to after its verdict."),
    ] = None,
    cache: CacheOption = True,
    verbose: VerboseOption = False,
) -> None:
    """Run the pipeline: from photographs to a released model."""
    from pipeline.run import run_pipeline

    if labels is not None:
        table = data_location(labels, "--labels") if looks_like_url(labels) else Path(labels).absolute()
        assignments = [*(assignments or []), f"data.labels={json.dumps(str(table))}"]
    if group_by is not None:
        assignments = [*(assignments or []), f"data.group_by={json.dumps(group_by)}"]
    run_and_exit(run_pipeline, data, workspace, config, assignments, cache, verbose, name, tag, mlflow)
