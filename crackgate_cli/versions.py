"""`crackgate versions`: the released versions."""

import json
from pathlib import Path

from crackgate_cli.options import (
    EXIT_FAILED,
    JsonOption,
    ServingOption,
    WorkspaceOption,
    fail,
    serving_directory,
    table_console,
)


def versions(
    workspace: WorkspaceOption = Path("workspace"), serving: ServingOption = None, as_json: JsonOption = False
) -> None:
    """List the released versions. It says which is in production, and which were withdrawn: when, by whom and why."""
    from crackgate.releases import ManifestError
    from crackgate_cli.tables.versions import describe_versions, print_versions

    try:
        entries = describe_versions(serving_directory(workspace, serving))
    except ManifestError as error:
        fail(str(error), EXIT_FAILED)
    if as_json:
        print(json.dumps([entry.model_dump(mode="json") for entry in entries], indent=2))
    else:
        print_versions(table_console(), entries)
