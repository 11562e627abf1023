"""`crackgate compare`: two runs side by side."""

import json
from pathlib import Path

from crackgate_cli.history import RunArgument, find_run, history_of
from crackgate_cli.options import JsonOption, WorkspaceOption, table_console


def compare(
    first: RunArgument,
    second: RunArgument,
    workspace: WorkspaceOption = Path("workspace"),
    as_json: JsonOption = False,
) -> None:
    """Show two runs side by side. It compares metrics, data, configuration, versions and durations."""
    history = history_of(workspace)
    from crackgate.runs.comparison import compare as compare_runs
    from crackgate_cli.tables.history import print_comparison

    comparison = compare_runs(history, find_run(history, first), find_run(history, second))
    if as_json:
        print(json.dumps(comparison.model_dump(mode="json"), indent=2))
    else:
        print_comparison(table_console(), comparison)
