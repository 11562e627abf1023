"""The task `report`: whatever the tasks left behind, it proves a verdict or says what speaks against it."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from crackgate.config.configuration import load_config
from crackgate.contracts.verdict import Verdict
from kubeflow.task.node_record import NodeRecord


def report(folder: Path, state: str, *records: NodeRecord) -> dict[str, Any]:
    """The summary of a run with these records, after `report` has shown it; RuntimeError says why the task fails."""
    from kubeflow.task.node_ir import pack
    from kubeflow.task.parameters import RunParameters
    from kubeflow.task.verdict import Definition, publish_report

    for record in records:
        record.write(folder / "runs" / "the-run" / "nodes")
    compiled = Definition(nodes=["ImageExampleGen", "LeakCheck"], classes=["a", "b"], config=load_config(None, []))
    definition = pack(compiled.model_dump_json(by_alias=True).encode())
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


def rejected() -> NodeRecord:
    return NodeRecord(node="LeakCheck", began=time.time() - 60, state="rejected", reasons=["3 copies in two splits"])


def test_data_that_a_check_rejected_is_a_verdict(tmp_path: Path) -> None:
    summary = report(tmp_path, "FAILED", rejected())
    assert (summary["verdict"], summary["reasons"]) == ("data rejected", ["3 copies in two splits"])


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
