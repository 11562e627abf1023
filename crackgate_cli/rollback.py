"""`crackgate rollback`: an earlier version in production again."""

import json
from pathlib import Path
from typing import Annotated

import typer

from crackgate_cli.options import (
    EXIT_FAILED,
    EXIT_USAGE,
    JsonOption,
    PublicKeyOption,
    ReasonOption,
    ServingOption,
    WorkspaceOption,
    fail,
    read_public_key,
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
    from crackgate.releases import ManifestError, ServingDirectoryError, roll_back
    from crackgate.releases.withdrawal import AlteredVersionError, NoSuchVersionError, describe_user

    folder, key = serving_directory(workspace, serving), read_public_key(public_key)
    try:
        done = roll_back(folder, to, describe_user(), reason, key)
    except NoSuchVersionError as error:
        fail(str(error), EXIT_USAGE)
    except (AlteredVersionError, ServingDirectoryError, ManifestError) as error:
        fail(str(error), EXIT_FAILED)
    if as_json:
        print(json.dumps(vars(done), indent=2))
        return
    if not done.withdrawn and not done.reinstated:
        print(f"version {done.in_production} is in production already: nothing was changed")
        return
    for number in done.withdrawn:
        print(f"withdrew version {number}")
    print(f"version {done.in_production} is in production now{', reinstated' if done.reinstated else ''}")
