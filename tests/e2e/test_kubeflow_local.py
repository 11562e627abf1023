"""The compiled pipeline on kfp's local runner: to a pushed model, again from the cache, and to a gate that refuses."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from command import QUICK, crackgate

from pipeline.sample_data import write_sample_data

pytestmark = pytest.mark.kubeflow


@pytest.fixture(scope="module")
def photographs_for_kubeflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    write_sample_data(folder, 240, size=96)
    return folder


def compile_with(data: Path, file: Path, *settings: str) -> Path:
    """Compiles with the quick settings and `settings` over them."""
    given = (*QUICK, "kubeflow.image=localhost/crackgate-python:test", *settings)
    options = [part for setting in given for part in ("--set", setting)]
    compiled = crackgate("kubeflow", "compile", *options, "--data", data, "--output", file)
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    return file


def run(file: Path, data: Path, workspace: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and summary."""
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


def test_a_compiled_pipeline_releases_takes_over_and_refuses(photographs_for_kubeflow: Path, tmp_path: Path) -> None:
    workspace, data = tmp_path / "workspace", photographs_for_kubeflow
    file = compile_with(data, tmp_path / "pipeline.yaml")
    exit_code, first = run(file, data, workspace)
    assert (exit_code, first["verdict"]) == (0, "released"), first["reasons"]
    assert versions(workspace) == [str(first["pushed_version"])]
    assert set(states(first).values()) == {"complete"}
    assert first["images"]["ingested"] == 240 and first["evaluation"] is not None
    page = Path(first["outputs"]["report"]).read_text(encoding="utf-8")
    assert f"Released as version {first['pushed_version']}" in page
    # What the user interface shows.
    shown = {file.parent.name for file in workspace.glob("kfp/*/*/summary")}
    assert {"image-example-gen", "verdict", "report"} <= set(shown)
    (report_page,) = workspace.glob("kfp/*/report/page")
    assert report_page.read_text(encoding="utf-8") == page
    # It is a run like any other to whoever looks at the workspace.
    listed = json.loads(crackgate("runs", "--workspace", workspace, "--json").stdout)
    assert [(run["run_id"], run["verdict"]) for run in listed] == [(first["run_id"], "released")]

    # The two that follow take over from this one, at the same time: a workspace has one run at a time.
    other = tmp_path / "other"
    shutil.copytree(workspace, other, symlinks=True)
    with ThreadPoolExecutor() as pool:
        repeated = pool.submit(run, file, data, workspace)
        strict = compile_with(data, tmp_path / "strict.yaml", "gate.min_accuracy=1", "gate.min_auc=1")
        exit_code, refused = run(strict, data, other)
    assert (exit_code, refused["verdict"]) == (3, "not blessed")
    assert states(refused)["Trainer"] == "cached" and states(refused)["Evaluator"] == "complete"
    assert versions(other) == [str(first["pushed_version"])]
    assert "Not released" in Path(refused["outputs"]["report"]).read_text(encoding="utf-8")
    assert not list(other.glob("work/*")), "what only a run needs goes with it"
    assert len(list(other.glob("kfp/*-report-*/report/page"))) == 1, "the exit handler by itself, under its own name"

    exit_code, again = repeated.result()
    assert (exit_code, again["pushed_version"]) == (0, first["pushed_version"])
    assert versions(workspace) == [str(first["pushed_version"])]
    assert {name for name, state in states(again).items() if state != "cached"} <= {
        "ReleasedStatisticsResolver",
        "BaselineResolver",
    }
