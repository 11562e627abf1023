"""`crackgate rollback`: an earlier version in production again."""

import json
from pathlib import Path
from typing import Annotated

import typer

from crackgate_cli.options import (
    JsonOption,
    PublicKeyOption,
    ReasonOption,
    ServingOption,
    WorkspaceOption,
    read_public_key,
    release_errors,
    serving_directory,
)


def rollback(
    to: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="VERSION", help="Version; a withdrawn one is reinstated.", show_default="one before"
        ),
    ] = None,
    reason: ReasonOption = "no reason given",
    public_key: PublicKeyOption = None,
    workspace: WorkspaceOption = Path("workspace"),
    serving: ServingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put an earlier version into production. Newer ones are withdrawn, and not released again unless reinstated."""
    from crackgate.releases import roll_back
    from crackgate.releases.withdrawal import describe_user

    folder, key = serving_directory(workspace, serving), read_public_key(public_key)
    with release_errors():
        done = roll_back(folder, to, describe_user(), reason, key)
    if as_json:
        print(json.dumps(vars(done), indent=2))
        return
    if not done.withdrawn and not done.reinstated:
        print(f"version {done.in_production} is in production already: nothing was changed")
        return
    for number in done.withdrawn:
        print(f"withdrew version {number}")
    print(f"version {done.in_production} is in production now{', reinstated' if done.reinstated else ''}")
