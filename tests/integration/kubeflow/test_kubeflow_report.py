"""The task `report`: whatever the tasks left behind, it proves a verdict or says what speaks against it."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from crackgate.config.configuration import load_config
from crackgate.contracts.verdict import Verdict
from kubeflow.task.node_record import NodeRecord


def compiled_definition() -> str:
    from kubeflow.task.node_ir import pack
    from kubeflow.task.verdict import Definition

    compiled = Definition(nodes=["ImageExampleGen", "LeakCheck"], classes=["a", "b"], config=load_config(None, []))
    return pack(compiled.model_dump_json(by_alias=True).encode())


def retry(folder: Path) -> list[str]:
    """The words of tasks that failed when Kubeflow runs them once more in a run whose report has ended."""
    from kubeflow.task.node import run_and_describe
    from kubeflow.task.parameters import RunParameters
    from kubeflow.task.verdict import give_verdict

    run = RunParameters(str(folder), str(folder), "serving")
    said = []
    for task in (
        lambda: run_and_describe("LeakCheck", "", "", "the-run", run),
        lambda: give_verdict(compiled_definition(), "the-run", run),
    ):
        with pytest.raises(BaseException) as ended:
            task()
        said.append(f"{type(ended.value).__name__}: {ended.value}")
    return said


def test_a_retry_after_a_verdict_changes_nothing_and_says_so(tmp_path: Path) -> None:
    report(tmp_path, "FAILED", rejected())
    files = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    for said in retry(tmp_path):
        assert said.startswith("SystemExit: ") and "the run the-run has ended (Data rejected" in said
        assert "submit the pipeline once more" in said
    assert files == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    # The report's pod was killed after it had written: Kubeflow's Retry makes it again, and it comes to the same.
    assert report(tmp_path, "FAILED")["verdict"] == "data rejected"


def test_a_retry_after_a_run_that_broke_down_goes_on(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="LeakCheck: attempt 1 began"):
        report(tmp_path, "RUNNING", NodeRecord(node="LeakCheck"))
    node, _ = retry(tmp_path)
    assert "this image holds other sources" in node, "it is past the look at the run's end"
    attempt = json.loads((tmp_path / "runs/the-run/nodes/LeakCheck.json").read_text())
    assert (attempt["attempt"], attempt["state"]) == (2, "failed")


def report(folder: Path, state: str, *records: NodeRecord) -> dict[str, Any]:
    """The summary of a run with these records, after `report` has shown it; RuntimeError says why the task fails."""
    from kubeflow.task.parameters import RunParameters
    from kubeflow.task.verdict import publish_report

    for record in records:
        record.write(folder / "runs" / "the-run" / "nodes")
    definition = compiled_definition()
    run = RunParameters(str(folder), "/data", "serving")
    try:
        publish_report(definition, "the-run", run, state, str(folder / "summary"), str(folder / "page"))
    except SystemExit as ended:
        raise RuntimeError(ended.code) from None
    finally:
        shown = json.loads((folder / "runs/the-run/summary.json").read_text())
        assert (folder / "summary").read_text().startswith(f"# {shown['verdict'].capitalize()}")
        assert (folder / "page").stat().st_size
    return dict(shown)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLMD_SQLITE_FILE", str(tmp_path / "metadata.db"))


def rejected(began: float = -60) -> NodeRecord:
    return NodeRecord(node="LeakCheck", began=time.time() + began, state="rejected", reasons=["3 copies in two splits"])


@pytest.mark.parametrize("began", [-60, 3600], ids=["in the past", "by a clock that is ahead"])
def test_data_that_a_check_rejected_is_a_verdict(began: float, tmp_path: Path) -> None:
    summary = report(tmp_path, "FAILED", rejected(began))
    assert (summary["verdict"], summary["reasons"]) == ("data rejected", ["3 copies in two splits"])
    assert summary["seconds"] >= max(0, -began)


@pytest.mark.parametrize(
    ("state", "verdict", "said"),
    [
        ("FAILED", [NodeRecord(node="Verdict", state="complete", verdict=Verdict.REFUSED)], "the task 'verdict' ran"),
        ("COMPLETE", [], "Kubeflow's state of the tasks is 'COMPLETE'"),
    ],
    ids=["verdict-ran", "complete"],
)
def test_what_does_not_agree_is_no_verdict(tmp_path: Path, state: str, verdict: list[NodeRecord], said: str) -> None:
    with pytest.raises(
        RuntimeError, match="Data rejected: the data did not pass its checks, by what the nodes"
    ) as doubt:
        report(tmp_path, state, rejected(), *verdict)
    assert said in str(doubt.value)
    summary = json.loads((tmp_path / "runs/the-run/summary.json").read_text())
    assert (summary["verdict"], summary["exit_code"]) == ("failed", 1)


def test_a_check_that_fell_silent_rejected_nothing(tmp_path: Path) -> None:
    with pytest.raises(
        RuntimeError, match=r"LeakCheck: attempt 1 began and was never heard of again.*nodes\.LeakCheck\."
    ):
        report(tmp_path, "RUNNING", NodeRecord(node="LeakCheck"))
