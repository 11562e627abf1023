"""What a run on a cluster came to, from its tasks' states alone."""

from collections.abc import Iterable
from typing import Any

from crackgate.contracts.verdict import Verdict
from kubeflow.task.names import REPORT, VERDICT, task_name

_SUCCEEDED, _FAILED = "SUCCEEDED", "FAILED"


def read_outcome(run_state: str, tasks: Iterable[Any]) -> tuple[Verdict, tuple[str, ...]]:
    """Reads the verdict from the states.

    The API tells states, but neither outputs nor exit codes. So the last two tasks fail by rule: `report` when the run
    broke down, `verdict` when nothing was released though every node went well. A run that failed otherwise, with a
    report, was stopped by a check of the data.

    Args:
        run_state: The run's, such as "SUCCEEDED".
        tasks: With `display_name` and `state`; several of one name where it was tried again.

    Returns:
        The verdict, and the names of the tasks that failed.
    """
    states: dict[str, set[str]] = {}
    for task in tasks:
        states.setdefault(task.display_name, set()).add(task.state)
    failed = tuple(sorted(name for name, seen in states.items() if _FAILED in seen and _SUCCEEDED not in seen))
    if run_state == _SUCCEEDED:
        return Verdict.RELEASED, failed
    if run_state != _FAILED or _SUCCEEDED not in states.get(task_name(REPORT), set()):
        return Verdict.FAILED, failed
    if task_name(VERDICT) in failed:
        return Verdict.REFUSED, failed
    return Verdict.DATA_REJECTED, failed
