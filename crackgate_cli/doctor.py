"""`crackgate doctor`: whether this machine has what crackgate uses."""

import json
from dataclasses import asdict
from pathlib import Path

import typer

from crackgate.machine import list_equipment
from crackgate_cli.options import EXIT_FAILED, JsonOption, WorkspaceOption, fail, table_console
from crackgate_cli.tables.equipment import print_equipment


def doctor(workspace: WorkspaceOption = Path("workspace"), as_json: JsonOption = False) -> None:
    """Show whether this machine has what crackgate uses. It says what each part is for, and what to do."""
    equipment = list_equipment(workspace)
    if as_json:
        print(json.dumps([asdict(each) for each in equipment], indent=2))
    else:
        print_equipment(table_console(), equipment)
    if missing := [each for each in equipment if each.is_required and not each.is_there]:
        if as_json:
            raise typer.Exit(EXIT_FAILED)
        fail("; ".join(f"{each.name}: {each.advice}" for each in missing), EXIT_FAILED)
