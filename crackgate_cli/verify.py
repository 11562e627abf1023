"""`crackgate verify`: whether versions are as they were released."""

import json
from pathlib import Path
from typing import Annotated

import typer

from crackgate_cli.options import (
    EXIT_FAILED,
    EXIT_USAGE,
    JsonOption,
    PublicKeyOption,
    ServingOption,
    WorkspaceOption,
    fail,
    read_public_key,
    serving_directory,
    table_console,
)


def verify(
    version: Annotated[
        int | None, typer.Argument(min=0, help="A version; all of them, withdrawn ones included, without it.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a released version that is somewhere else, in place of VERSION.")
    ] = None,
    public_key: PublicKeyOption = None,
    workspace: WorkspaceOption = Path("workspace"),
    serving: ServingOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that versions are as they were released. Every byte is compared with what was judged, and signatures."""
    from crackgate.releases import ManifestError, list_versions
    from crackgate.releases import verify as verify_version
    from crackgate_cli.tables.versions import describe_finding, print_findings

    if model is not None and version is not None:
        fail(f"received both version {version} and --model {str(model)!r}: give one of the two", EXIT_USAGE)
    if model is not None and not model.is_dir():
        fail(f"--model: received {str(model)!r}, which is no folder", EXIT_USAGE)
    key = read_public_key(public_key)
    if model is not None:
        findings = [verify_version(model, key)]
    else:
        folder = serving_directory(workspace, serving)
        try:
            # A withdrawn version that was deleted leaves a record, and no folder to verify.
            known = [each for each in list_versions(folder) if each.folder.is_dir()]
        except ManifestError as error:
            fail(str(error), EXIT_FAILED)
        wanted = [each for each in known if version in (None, each.number)]
        if not wanted:
            numbers = ", ".join(str(each.number) for each in known) or "none"
            asked = "version" if version is None else f"version {version}"
            fail(f"there is no {asked} in {str(folder)!r}; it has: {numbers}", EXIT_USAGE)
        findings = [verify_version(each.folder, key, each.number) for each in wanted]
    if as_json:
        print(json.dumps([describe_finding(finding) for finding in findings], indent=2))
    else:
        print_findings(table_console(), findings)
    if not all(finding.intact for finding in findings):
        raise typer.Exit(EXIT_FAILED)
