"""The compiled pipeline on kfp's local runner: to an approved model, again from the cache, to a gate that refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from crackgate.images.sample_data import write_sample_data
from tests.helpers.command import QUICK, crackgate

pytestmark = pytest.mark.kubeflow


@pytest.fixture(scope="module")
def photographs_for_kubeflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    write_sample_data(folder, 240, size=96)
    return folder


def compile_and_run(data: Path, workspace: Path, *settings: str) -> tuple[int, dict[str, Any]]:
    """Exit code and summary of a run of what was compiled with the quick settings and `settings` over them."""
    given = (*QUICK, "kubeflow.image=localhost/crackgate-python:test", *settings)
    options = [part for setting in given for part in ("--set", setting)]
    file = workspace / "pipeline.yaml"
    compiled = crackgate("kubeflow", "compile", *options, "--data", data, "--output", file)
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    before = set(workspace.glob("runs/*"))
    ran = crackgate("kubeflow", "run-local", file, "--data", data, "--workspace", workspace, timeout=1800)
    new = set(workspace.glob("runs/*")) - before
    assert len(new) == 1, ran.stdout + ran.stderr
    summary: dict[str, Any] = json.loads((new.pop() / "summary.json").read_text())
    assert summary["exit_code"] == ran.returncode, ran.stdout + ran.stderr
    return ran.returncode, summary


def states(summary: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["state"] for step in summary["components"]}


def versions(workspace: Path) -> list[str]:
    return sorted(file.parent.name for file in workspace.glob("serving/*/saved_model.pb"))


def test_a_compiled_pipeline_stages_takes_over_and_refuses(photographs_for_kubeflow: Path, tmp_path: Path) -> None:
    exit_code, first = compile_and_run(photographs_for_kubeflow, tmp_path, "release.approval=true")
    assert (exit_code, first["verdict"]) == (0, "staged"), first["reasons"]
    assert versions(tmp_path) == []
    approved = crackgate("approve", first["pushed_version"], "--workspace", tmp_path)
    assert approved.returncode == 0, approved.stderr
    assert versions(tmp_path) == [str(first["pushed_version"])]
    assert set(states(first).values()) == {"complete"}
    assert first["images"]["ingested"] == 240 and first["evaluation"] is not None
    page = Path(first["outputs"]["report"]).read_text(encoding="utf-8")
    assert f"Staged as version {first['pushed_version']}" in page
    # What the user interface shows.
    shown = {file.parent.name for file in tmp_path.glob("kfp/*/*/summary")}
    assert {"image-example-gen", "verdict", "report"} <= set(shown)
    (report_page,) = tmp_path.glob("kfp/*/report/page")
    assert report_page.read_text(encoding="utf-8") == page
    # It is a run like any other to whoever looks at the workspace.
    listed = json.loads(crackgate("runs", "--workspace", tmp_path, "--json").stdout)
    assert [(run["run_id"], run["verdict"]) for run in listed] == [(first["run_id"], "staged")]

    exit_code, again = compile_and_run(photographs_for_kubeflow, tmp_path, "release.approval=true")
    assert (exit_code, again["pushed_version"]) == (0, first["pushed_version"])
    assert {name for name, state in states(again).items() if state != "cached"} <= {
        "ReleasedStatisticsResolver",
        "BaselineResolver",
        "DriftCheck",  # it has a release to compare with now
    }

    exit_code, refused = compile_and_run(photographs_for_kubeflow, tmp_path, "gate.min_accuracy=1", "gate.min_auc=1")
    assert (exit_code, refused["verdict"]) == (3, "refused")
    assert states(refused)["Trainer"] == "cached" and states(refused)["Evaluator"] == "complete"
    assert versions(tmp_path) == [str(first["pushed_version"])]
    assert "Refused" in Path(refused["outputs"]["report"]).read_text(encoding="utf-8")
    assert not list(tmp_path.glob("work/*")), "what only a run needs goes with it"
