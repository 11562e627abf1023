"""The outcome of a run on a cluster, from the states of its tasks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from crackgate.contracts.verdict import Verdict
from kubeflow.task.names import DATA_CHECKS, REPORT, VERDICT, task_name

_SUCCEEDED, _FAILED, _SKIPPED = "SUCCEEDED", "FAILED", "SKIPPED"
_VERDICT, _REPORT = task_name(VERDICT), task_name(REPORT)
_DATA_CHECKS = tuple(map(task_name, DATA_CHECKS))
# KFP's server lists every node of Argo's workflow by its display name: a task, the pod that drives it, and "executor"
# for each pod that does its work.
_DRIVER, _EXECUTOR = "-driver", "executor"


@dataclass(frozen=True)
class RunOutcome:
    """The verdict of a run that has ended, and sentences that say how it is known, or why it is not.

    RELEASED stands for STAGED and UNCHANGED, too, and REFUSED for WITHDRAWN: states do not tell them apart.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()


def is_settled(tasks: Iterable[Any]) -> bool:
    """Tells whether the API shows the end of the task that ends last; it shows a run's own end before."""
    states = _states(tasks)
    return states.get(_REPORT) in ({_SUCCEEDED}, {_FAILED}) or states.get(f"{_REPORT}{_DRIVER}") == {_FAILED}


def read_outcome(run_state: str, tasks: Iterable[Any], names: Sequence[str]) -> RunOutcome:
    """Returns the outcome for a run state such as "SUCCEEDED".

    Args:
        run_state: State of a run that has ended.
        tasks: What the API says of it, with `display_name` and `state`. A task that never began has the state
            "RUNTIME_STATE_UNSPECIFIED", or is not there.
        names: Names of the tasks that the compiled pipeline has.

    A verdict needs proof. `report` succeeds only where the record of `verdict` and what the nodes left agree, and
    Kubeflow's own state of the run with both: so a failed `verdict` is a refusal, and no pod that was killed. The data
    was rejected where one of the tasks that check it failed. Everything else is FAILED.
    """
    states = _states(tasks)
    reasons = tuple(_describe(names, states))
    if _SKIPPED in states.get(_EXECUTOR, set()):
        told = "Kubeflow's cache took over a task, which crackgate's never allow: this run proves nothing"
        return RunOutcome(Verdict.FAILED, (*reasons, told))
    if states.get(_REPORT) == {_SUCCEEDED}:
        refused = states.get(_VERDICT) == {_FAILED}
        rejected = any(states.get(name) == {_FAILED} for name in _DATA_CHECKS)
        if run_state == _SUCCEEDED and states.get(_VERDICT) == {_SUCCEEDED}:
            return RunOutcome(Verdict.RELEASED)
        if run_state == _FAILED and refused != rejected:
            by_rule = "no model is released" if refused else "the data did not pass its check"
            failed = tuple(f"{name}: {by_rule}" for name in names if states.get(name) == {_FAILED})
            return RunOutcome(Verdict.REFUSED if refused else Verdict.DATA_REJECTED, failed)
    if states.get(_REPORT) == {_FAILED}:
        broken = "the run broke down, or its verdict is in doubt: the log of the task 'report' says why"
        return RunOutcome(Verdict.FAILED, (*reasons, broken))
    seen = {name: " and ".join(sorted(states.get(name, {"unknown"}))) for name in (_VERDICT, _REPORT)}
    told = " and ".join(f"{state} of {name}" for name, state in seen.items())
    return RunOutcome(
        Verdict.FAILED, (*reasons, f"Kubeflow says {run_state} of the run, {told}: no verdict follows from that")
    )


def _states(tasks: Iterable[Any]) -> dict[str, set[str]]:
    states: dict[str, set[str]] = {}
    for task in tasks:
        # A state that kfp's client does not know would be None.
        states.setdefault(task.display_name, set()).add(task.state or "unknown")
    return states


def _describe(names: Sequence[str], states: dict[str, set[str]]) -> Iterable[str]:
    for name in names:
        if _FAILED in states.get(f"{name}{_DRIVER}", set()):
            yield f"{name}: never began: the pod {name}{_DRIVER}, with which Kubeflow prepares it, failed"
        elif _FAILED in states.get(name, set()):
            yield f"{name}: failed"
