"""The outcome of a run on a cluster, from the states of its tasks."""

from collections.abc import Iterable
from typing import Any

from crackgate.contracts.verdict import Verdict
from kubeflow.task.names import REPORT, VERDICT, task_name

_SUCCEEDED, _FAILED = "SUCCEEDED", "FAILED"


def read_outcome(run_state: str, tasks: Iterable[Any]) -> tuple[Verdict, tuple[str, ...]]:
    """Returns the verdict for a run state such as "SUCCEEDED", and the names of the tasks that failed.

    The tasks have `display_name` and `state`; a retried one appears several times. `report` fails when the run broke
    down, `verdict` when nothing was released. A run that failed otherwise, with a report, was stopped by a check of the
    data.
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
