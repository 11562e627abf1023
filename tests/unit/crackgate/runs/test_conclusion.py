"""The verdict of a run, from what came of its components."""

from pathlib import Path

import pytest

from crackgate.config.configuration import Config
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.contracts.serving_findings import ServingFindings
from crackgate.contracts.verdict import Verdict
from crackgate.runs.conclusion import conclude
from crackgate.runs.lineage import Artifact, Execution
from crackgate.runs.summary import Summary, begin_summary


@pytest.fixture
def summary() -> Summary:
    return begin_summary("run", Path("/data"), ["Negative", "Positive"], PositiveClasses(), Config(), Path("/log"))


def execution(component: str, output: str, **properties: object) -> Execution:
    artifact = Artifact(1, "any", "/artifact", properties)
    return Execution(1, "run", component, "complete", 1.0, {}, outputs={output: [artifact]})


def test_rejected_data_explains_the_failures_that_follow(summary: Summary) -> None:
    conclude(summary, {}, rejections=["one class only"], failures=["never ran: Trainer"])
    assert (summary.verdict, summary.exit_code, summary.reasons) == (Verdict.DATA_REJECTED, 4, ["one class only"])


def test_a_failure_comes_before_the_question_of_a_release(summary: Summary) -> None:
    conclude(summary, {}, failures=["Pusher: OSError: disk full"])
    assert (summary.verdict, summary.exit_code, summary.reasons) == (Verdict.FAILED, 1, ["Pusher: OSError: disk full"])


def test_a_model_that_was_not_pushed_is_refused_for_what_the_serving_check_found(summary: Summary) -> None:
    summary.serving = ServingFindings(passed=False, reasons=["it loads: no such file"])
    conclude(summary, {"Pusher": execution("Pusher", "pushed_model", pushed=0)})
    assert (summary.verdict, summary.exit_code) == (Verdict.REFUSED, 3)
    assert summary.reasons == ["serving check: it loads: no such file"] and summary.pushed_version is None


@pytest.mark.parametrize(("blessed", "verdict", "code"), [(1, Verdict.PASSED, 0), (0, Verdict.REFUSED, 3)])
def test_the_gate_alone_passes_or_refuses(blessed: int, verdict: Verdict, code: int, summary: Summary) -> None:
    summary.judges_only = True
    conclude(summary, {"Evaluator": execution("Evaluator", "blessing", blessed=blessed)})
    assert (summary.verdict, summary.exit_code, bool(summary.reasons)) == (verdict, code, not blessed)


def test_a_release_that_is_gone_is_no_release(summary: Summary, tmp_path: Path) -> None:
    pushed = {"pushed": 1, "pushed_destination": str(tmp_path / "17")}
    conclude(summary, {"Pusher": execution("Pusher", "pushed_model", **pushed)})
    assert summary.verdict == Verdict.FAILED and "has been removed since: run with --no-cache" in summary.reasons[0]
