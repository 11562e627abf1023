"""`crackgate approve` and `crackgate reject`: a person decides about a staged version."""

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

_Version = Annotated[int, typer.Argument(min=0, help="A staged version; 'crackgate versions' lists them.")]


def approve(
    version: _Version,
    reason: ReasonOption = "no reason given",
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Although another version is in production than the one that it was compared with."
        ),
    ] = False,
    public_key: PublicKeyOption = None,
    workspace: WorkspaceOption = Path("workspace"),
    serving: ServingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a staged version into production. Its files are verified before."""
    from crackgate.releases import approve as approve_version
    from crackgate.releases.withdrawal import describe_user

    folder, key = serving_directory(workspace, serving), read_public_key(public_key)
    with release_errors():
        done = approve_version(folder, version, describe_user(), reason, key, force)
    if as_json:
        print(json.dumps(vars(done), indent=2))
        return
    for number in done.withdrawn:
        print(f"withdrew version {number}")
    print(f"version {version} is in production {'now' if done.approved else 'already: nothing was changed'}")


def reject(
    version: _Version,
    reason: ReasonOption = "no reason given",
    workspace: WorkspaceOption = Path("workspace"),
    serving: ServingOption = None,
) -> None:
    """Withdraw a staged version. It is not staged again; 'crackgate rollback --to' reinstates it."""
    from crackgate.releases import reject as reject_version
    from crackgate.releases.withdrawal import describe_user

    with release_errors():
        done = reject_version(serving_directory(workspace, serving), version, describe_user(), reason)
    print(f"version {version} is withdrawn {'now' if done else 'already: nothing was changed'}")
