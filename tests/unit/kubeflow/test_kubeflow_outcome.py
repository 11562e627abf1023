"""The exit code of a run on a cluster: whatever pod is lost, it is the right one or 1."""

from types import SimpleNamespace

import pytest

from crackgate.contracts.verdict import EXIT_CODES, Verdict
from kubeflow.outcome import is_settled, read_outcome
from kubeflow.task.doubt import ALL_SUCCEEDED, find_doubt
from kubeflow.task.names import DATA_CHECKS, task_name
from kubeflow.task.node_record import NodeRecord
from tests.helpers.argo_nodes import TASKS, Fate, task_details

NAMES = (*TASKS, "report")
# What a run comes to when no pod is lost, and the tasks that then fail by rule.
TRUTHS = {
    Verdict.RELEASED: {},
    Verdict.STAGED: {},
    Verdict.UNCHANGED: {},
    Verdict.REFUSED: {"verdict": Fate.EXITED},
    Verdict.WITHDRAWN: {"verdict": Fate.EXITED},
    Verdict.DATA_REJECTED: {"leak-check": Fate.EXITED},
}
LOST = (Fate.DRIVER_FAILED, Fate.EXITED, Fate.KILLED, Fate.EVICTED, Fate.DELETED, Fate.OMITTED)
NO_POD = (Fate.DRIVER_FAILED, Fate.OMITTED, Fate.CACHED)
# The moments at which the main container of `verdict` may be lost.
BEFORE, DURING, AFTER = "before it wrote", "while it concluded", "after its record"


def play(truth: Verdict, lost: str = "", fate: Fate = Fate.WELL, moment: str = AFTER) -> tuple[int, str]:
    """Exit code and reasons of a run of which one pod is lost, by what its tasks leave and `report` makes of it."""
    fates = dict(TRUTHS[truth])
    decisive = next(iter(fates), None)
    reached = NAMES if decisive in (None, "verdict") else NAMES[: NAMES.index(decisive) + 1]
    if lost in reached and lost != "report":
        fates = {name: each for name, each in fates.items() if NAMES.index(name) < NAMES.index(lost)} | {lost: fate}
    stopped = {name for name, each in fates.items() if each not in (Fate.WELL, Fate.CACHED)}

    # What the nodes leave: a node that is lost, or that KFP's cache took over, has no record of success.
    broken = {name for name in fates if name != "verdict"} - ({decisive} if lost != decisive else set())
    found = Verdict.FAILED if broken else truth
    record = None
    if not stopped - {"verdict"} and fates.get("verdict") not in NO_POD:
        record = NodeRecord(node="Verdict", state="complete", verdict=truth)
        if lost == "verdict" and moment != AFTER:
            record = NodeRecord(node="Verdict") if moment == DURING else None
    # KFP's launcher tells its store of what exited, and cannot of what was killed.
    state = ALL_SUCCEEDED
    if stopped:
        state = "FAILED" if set(fates.values()) <= {Fate.EXITED} else "RUNNING"

    report = fate if lost == "report" else Fate.WELL
    if report == Fate.WELL and (found == Verdict.FAILED or find_doubt(found, record, state)):
        report = Fate.EXITED
    details = [SimpleNamespace(**detail) for detail in task_details(fates, report)]
    ended = "FAILED" if stopped or report not in (Fate.WELL, Fate.CACHED) else "SUCCEEDED"
    outcome = read_outcome(ended, details, NAMES)
    return EXIT_CODES[outcome.verdict], "\n".join(outcome.reasons)


@pytest.mark.parametrize("truth", TRUTHS)
def test_a_run_of_which_nothing_is_lost_has_the_verdicts_exit_code(truth: Verdict) -> None:
    assert play(truth)[0] == EXIT_CODES[truth]


@pytest.mark.parametrize("fate", [*LOST, Fate.CACHED], ids=str)
@pytest.mark.parametrize("lost", NAMES)
def test_whatever_is_lost_the_exit_code_is_right_or_1(lost: str, fate: Fate) -> None:
    for truth in TRUTHS:
        for moment in (BEFORE, DURING, AFTER):
            code, reasons = play(truth, lost, fate, moment)
            reached = truth != Verdict.DATA_REJECTED or lost in (*NAMES[: NAMES.index("leak-check") + 1], "report")
            # `verdict` had said no before it was lost: that is as good as an end.
            said_no = lost == "verdict" and moment == AFTER and fate not in NO_POD
            if reached and not (said_no and truth in (Verdict.REFUSED, Verdict.WITHDRAWN)):
                assert code == 1, (truth, moment, reasons)
                if fate not in (Fate.OMITTED, Fate.CACHED):
                    assert f"{lost}: " in reasons, (truth, moment, reasons)
            else:
                assert code == EXIT_CODES[truth], (truth, moment, reasons)


@pytest.mark.parametrize("report", LOST, ids=str)
@pytest.mark.parametrize("fate", [Fate.WELL, *LOST], ids=str)
def test_with_its_report_every_run_loses_its_verdict(fate: Fate, report: Fate) -> None:
    for name in TASKS:
        details = [SimpleNamespace(**each) for each in task_details({name: fate}, report)]
        for state in ("SUCCEEDED", "FAILED", "CANCELED"):
            assert read_outcome(state, details, NAMES).verdict == Verdict.FAILED, (name, state)


@pytest.mark.parametrize("fate", LOST, ids=str)
@pytest.mark.parametrize("other", ["statistics-gen", "data-page", "data-gate", "drift-check"])
def test_data_that_one_check_rejected_stays_rejected_when_a_pod_beside_it_is_lost(other: str, fate: Fate) -> None:
    assert not find_doubt(Verdict.DATA_REJECTED, None, "RUNNING"), "as KFP says when one was killed"
    details = [SimpleNamespace(**each) for each in task_details({"leak-check": Fate.EXITED, other: fate})]
    assert read_outcome("FAILED", details, NAMES).verdict == Verdict.DATA_REJECTED
    # A run that was terminated has no verdict, whatever its tasks came to.
    assert read_outcome("CANCELED", details, NAMES).verdict == Verdict.FAILED


@pytest.mark.parametrize("check", DATA_CHECKS)
def test_each_check_of_the_data_may_reject_it(check: str) -> None:
    details = [SimpleNamespace(**each) for each in task_details({task_name(check): Fate.EXITED})]
    outcome = read_outcome("FAILED", details, NAMES)
    assert outcome.verdict == Verdict.DATA_REJECTED
    assert outcome.reasons == (f"{task_name(check)}: the data did not pass its check",)


@pytest.mark.parametrize("state", ["CANCELED", "SKIPPED", "RUNTIME_STATE_UNSPECIFIED", "SUCCEEDED", "FAILED", "PAUSED"])
def test_a_run_without_tasks_proves_nothing(state: str) -> None:
    outcome = read_outcome(state, [], NAMES)
    assert outcome.verdict == Verdict.FAILED
    assert outcome.reasons == (
        f"Kubeflow says {state} of the run, unknown of verdict and unknown of report: no verdict follows from that",
    )
    # Nor does a run that was stopped after its end.
    released = [SimpleNamespace(**each) for each in task_details({})]
    verdict = read_outcome(state, released, NAMES).verdict
    assert verdict == (Verdict.RELEASED if state == "SUCCEEDED" else Verdict.FAILED)


@pytest.mark.parametrize(
    ("report", "settled"),
    [(Fate.WELL, True), (Fate.EXITED, True), (Fate.DRIVER_FAILED, True), (Fate.RUNNING, False), (Fate.OMITTED, False)],
)
def test_a_run_is_settled_when_its_report_has_ended(report: Fate, settled: bool) -> None:
    assert is_settled([SimpleNamespace(**each) for each in task_details({}, report)]) == settled
    assert not is_settled([])
