"""Runs that must not release anything, and say why."""

import fcntl
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crackgate_cli.main import app
from tests.helpers.command import PROJECT, crackgate, run_crackgate


def test_images_outside_the_schema_stop_the_run_before_training(photographs: Path, tmp_path: Path) -> None:
    run = run_crackgate(photographs, tmp_path, "schema.brightness.max=100")
    assert run.exit_code == 4, run.output
    assert run.summary["verdict"] == "data rejected"
    assert run.states["DataGate"] == "failed" and "Trainer" not in run.states
    assert any("'test'" in reason and "image/quality/brightness" in reason for reason in run.summary["reasons"])
    assert run.summary["images"]["ingested"] == 240, "the counts are there although the run failed"
    assert not (tmp_path / "serving").exists()
    assert "the data did not pass" in Path(run.summary["outputs"]["report"]).read_text(encoding="utf-8")
    assert 'message="' in Path(run.summary["outputs"]["gates"]).read_text(encoding="utf-8")


def test_copies_across_sites_stop_a_run_that_is_grouped_by_site(photographs: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number, file in enumerate(sorted(photographs.rglob("*.jpg"))):
        for site in (number % 40, (number + 1) % 40):
            target = data / file.parent.name / f"site {site}" / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    thirds = ("data.split.train=34", "data.split.eval=33", "data.split.test=33")
    by_site = (r"data.group_by='(site \d+)'", "data.max_imbalance=1.0")
    run = run_crackgate(data, tmp_path / "workspace", *by_site, *thirds)
    assert run.exit_code == 4, run.output
    assert run.states["LeakCheck"] == "failed" and "Trainer" not in run.states
    assert "pairs of copies in two splits" in run.summary["reasons"][0]
    assert " is a copy of " in run.summary["reasons"][1]


def test_too_many_bad_files_stop_the_run_and_are_all_named(photographs: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(photographs, data)
    for number in range(60):
        (data / "Negative" / f"broken {number}.jpg").write_bytes(b"\xff\xd8\xff broken")
    run = run_crackgate(data, tmp_path / "workspace")
    images = run.summary["images"]
    assert run.exit_code == 4, run.output
    assert "60 of 300 files were rejected" in run.summary["reasons"][0]
    assert images["found"] == 300 and images["ingested"] == 240 and len(images["rejected"]) == 60


def test_a_folder_without_classes_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    run = run_crackgate(tmp_path / "data", tmp_path / "workspace")
    assert run.exit_code == 4 and "no class folder" in run.summary["reasons"][0]
    assert "no class folder" in Path(run.summary["outputs"]["report"]).read_text(encoding="utf-8")
    assert run.summary["images"]["found"] == len(run.summary["images"]["rejected"]) == 0


def test_a_reader_that_goes_and_a_closed_output_end_no_run_and_one_class_is_refused(
    photographs: Path, tmp_path: Path
) -> None:
    shutil.copytree(photographs / "Positive", tmp_path / "data" / "Positive")
    command = [sys.executable, "-c", "from crackgate_cli.main import main; main()", "run", "--data", tmp_path / "data"]
    for number, end in enumerate(("| head -n 1", ">&- 2>&-", "> /dev/full 2>&1")):
        shell = f'{{ "$@"; echo $? > "$0"; }} {end}'
        code, workspace = tmp_path / f"code{number}", tmp_path / f"workspace{number}"
        subprocess.run(["sh", "-c", shell, code, *command, "--workspace", workspace], cwd=PROJECT, check=False)
        assert code.read_text() == "4\n", end
        (file,) = workspace.glob("runs/*/summary.json")
        summary = json.loads(file.read_text())
        assert summary["verdict"] == "data rejected" and "one class, 'Positive'" in summary["reasons"][0]
        assert "one class" in Path(summary["outputs"]["report"]).read_text(encoding="utf-8")
        assert summary["images"]["found"] == len(summary["images"]["rejected"]) == 120


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "--data"),
        (["run", "--data", "no such folder"], "no such folder"),
        (["run", "--data", ".", "--set", "train.backbone=VGG"], "train.backbone: received 'VGG'"),
        (["run", "--data", ".", "--set", "train.weights=absent.h5"], "train.weights: received 'absent.h5'"),
        (
            ["run", "--data", ".", "--set", 'train.positive_classes=["absent"]'],
            "train.positive_classes: received 'absent'",
        ),
        (["run", "--data", ".", "--set", "train.imbalance=maybe"], "train.imbalance: received 'maybe'"),
        (["run", "--data", ".", "--config", "absent.toml"], "absent.toml"),
        (["run", "--data", ".", "--set", "data.classes=['absent', 'gone']"], "received 'absent', 'gone'"),
        (["predict", "absent.jpg"], "absent.jpg"),
        (["predict", ".", "--workspace", "absent"], "no released model"),
        (["runs", "--workspace", "absent"], "absent', which is no folder"),
        (["compare", "latest", "latest", "--workspace", "tests"], "no runs in"),
        (["sample-data", "."], "not an empty folder"),
        (["sample-data", "new", "--count", "1"], "count"),
    ],
)
def test_usage_errors_exit_with_2_and_name_what_was_received(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    # `make run` may have released a model there.
    elsewhere = ["--workspace", str(tmp_path / "workspace")] if arguments[0] == "run" else []
    # An error that nobody caught would be code 1.
    finished = CliRunner(env={"COLUMNS": "200"}).invoke(app, [*arguments, *elsewhere])
    assert finished.exit_code == 2
    assert said in finished.stderr


def test_a_second_run_in_the_same_workspace_is_turned_away(photographs: Path, tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        finished = crackgate("run", "--data", photographs, "--workspace", tmp_path)
    assert finished.returncode == 1 and "another run" in finished.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.serving
def test_a_good_model_that_does_not_serve_within_its_limits_is_not_released(photographs: Path, tmp_path: Path) -> None:
    run = run_crackgate(photographs, tmp_path, "serving_check.max_memory_mib=10")
    assert run.exit_code == 3, run.output
    assert run.states["Evaluator"] == run.states["ServingCheck"] == run.states["Pusher"] == "complete"
    (reason,) = run.summary["reasons"]
    assert reason.startswith("serving check: memory limit: most resident memory") and reason in run.output
    assert run.summary["serving"]["metrics"]["p50_ms_one"] > 0
    assert not list(tmp_path.glob("serving/*/saved_model.pb"))
    assert 'name="memory limit"' in Path(run.summary["outputs"]["gates"]).read_text(encoding="utf-8")
    assert "memory limit" in Path(run.summary["outputs"]["report"]).read_text(encoding="utf-8")
    # With other limits it is looked at again, and nothing else has to be done anew.
    again = run_crackgate(photographs, tmp_path)
    assert again.exit_code == 0, again.output
    assert (again.states["Trainer"], again.states["ServingCheck"]) == ("cached", "complete")
