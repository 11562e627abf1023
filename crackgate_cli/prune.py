"""`crackgate prune`: room on the disk."""

import json
from pathlib import Path
from typing import Annotated

import typer

from crackgate.runs.workspace import Workspace, WorkspaceBusyError, WorkspaceMovedError, WorkspaceUnusableError
from crackgate_cli.options import EXIT_FAILED, EXIT_USAGE, JsonOption, WorkspaceOption, fail, note, table_console


def prune(
    workspace: WorkspaceOption = Path("workspace"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed, and remove nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove artifacts that no released version needs. Versions, summaries and reports stay."""
    place = Workspace(workspace.resolve())
    if not place.metadata_file.is_file():
        fail(
            f"--workspace: received {str(workspace)!r}, where no run has been: give the one that 'crackgate run' "
            "wrote to",
            EXIT_USAGE,
        )
    from crackgate.releases import ManifestError
    from crackgate.runs.leftovers import find_leftovers, remove_leftovers
    from crackgate.runs.lineage import MetadataError
    from crackgate_cli.tables.leftovers import print_leftovers

    try:
        with place.locked() as warning:
            if warning:
                note(warning)
            leftovers = find_leftovers(place)
            problems = [] if dry_run else remove_leftovers(place, leftovers)
    except (WorkspaceBusyError, WorkspaceMovedError, WorkspaceUnusableError) as error:
        fail(str(error), EXIT_USAGE)
    except (ManifestError, MetadataError) as error:
        fail(f"nothing was removed: {error}", EXIT_FAILED)
    except OSError as error:
        fail(f"{error.filename!r}: {error.strerror}", EXIT_FAILED)
    if as_json:
        print(json.dumps([{**vars(each), "path": str(each.path)} for each in leftovers], indent=2))
    else:
        print_leftovers(table_console(), leftovers, dry_run)
    if problems:
        fail("; ".join(problems), EXIT_FAILED)
