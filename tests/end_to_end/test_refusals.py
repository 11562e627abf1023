"""Runs that must not release anything, and say why."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

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


def test_images_that_drifted_from_the_released_ones_stop_the_run_with_the_reason(
    photographs: Path, tmp_path: Path
) -> None:
    darker = tmp_path / "darker"
    for file in photographs.rglob("*.jpg"):
        target = darker / file.relative_to(photographs)
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as picture:
            ImageEnhance.Brightness(picture).enhance(0.5).save(target, quality=95)
    workspace = tmp_path / "workspace"
    assert run_crackgate(photographs, workspace).exit_code == 0
    drifted = run_crackgate(darker, workspace)
    assert drifted.exit_code == 4, drifted.output
    assert drifted.states["DriftCheck"] == "failed" and "Trainer" not in drifted.states
    reason = next(reason for reason in drifted.summary["reasons"] if "image/quality/brightness" in reason)
    assert "the last released run" in reason and "drift.max_drift" in reason and ".jpg'" in reason
    # The same images may be released knowingly.
    accepted = run_crackgate(darker, workspace, "drift.max_drift=1.0")
    assert accepted.exit_code == 0, accepted.output
    # From then on they are those of the last release.
    again = run_crackgate(darker, workspace)
    assert again.exit_code == 0, again.output
    assert "from the last release 0.000" in again.output
    renamed = tmp_path / "renamed"
    shutil.copytree(darker, renamed)
    (renamed / "Negative").rename(renamed / "Sound")
    other = crackgate("run", "--data", renamed, "--workspace", workspace)
    assert other.returncode == 2
    assert "has the classes 'Negative', 'Positive', and these images have 'Positive', 'Sound'" in other.stderr


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


@pytest.mark.parametrize(("classes", "found"), [((), "no class folder"), (("Positive",), "one class, 'Positive'")])
def test_fewer_than_two_classes_are_refused_at_once(
    photographs: Path, tmp_path: Path, classes: tuple[str, ...], found: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in classes:
        shutil.copytree(photographs / name, data / name)
    run = run_crackgate(data, tmp_path / "workspace")
    assert run.exit_code == 4 and found in run.summary["reasons"][0]
    assert found.partition(",")[0] in Path(run.summary["outputs"]["report"]).read_text(encoding="utf-8")
    assert run.summary["images"]["found"] == len(run.summary["images"]["rejected"]) == 120 * len(classes)


def test_a_reader_that_goes_and_a_closed_output_end_no_run(photographs: Path, tmp_path: Path) -> None:
    shutil.copytree(photographs / "Positive", tmp_path / "data" / "Positive")
    command = [sys.executable, "-c", "from crackgate_cli.main import main; main()", "run", "--data", tmp_path / "data"]
    for number, end in enumerate(("| head -n 1", ">&- 2>&-", "> /dev/full 2>&1")):
        shell = f'{{ "$@"; echo $? > "$0"; }} {end}'
        code, workspace = tmp_path / f"code{number}", tmp_path / f"workspace{number}"
        subprocess.run(["sh", "-c", shell, code, *command, "--workspace", workspace], cwd=PROJECT, check=False)
        assert code.read_text() == "4\n", end
        (summary,) = workspace.glob("runs/*/summary.json")
        assert json.loads(summary.read_text())["verdict"] == "data rejected"


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
def test_usage_errors_exit_with_2_and_name_what_was_received(arguments: list[str], said: str) -> None:
    finished = crackgate(*arguments)
    assert finished.returncode == 2
    assert said in finished.stderr and "Traceback" not in finished.stderr


def test_a_second_run_in_the_same_workspace_is_turned_away(photographs: Path, tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        finished = crackgate("run", "--data", photographs, "--workspace", tmp_path)
    assert finished.returncode == 1 and "another run" in finished.stderr
    assert not (tmp_path / "runs").exists()


def test_an_interrupted_run_leaves_a_summary_and_the_next_one_goes_on(photographs: Path, tmp_path: Path) -> None:
    # So few test images prove no higher recall, and the run would end before its Trainer.
    gate = ["--set", "gate.min_recall=0.5"]
    arguments = ["run", "--data", str(photographs), "--workspace", str(tmp_path), *gate]
    process = subprocess.Popen(
        [sys.executable, "-c", "from crackgate_cli.main import main; main()", *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        while "Trainer ..." not in (line := process.stdout.readline()):
            assert line, "the run ended before its Trainer began"
        time.sleep(1)
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    (summary_file,) = tmp_path.glob("runs/*/summary.json")
    summary = json.loads(summary_file.read_text())
    assert process.returncode == 1, output
    assert summary["reasons"] == ["interrupted during Trainer"]
    assert "interrupted during Trainer" in Path(summary["outputs"]["report"]).read_text(encoding="utf-8")

    again = run_crackgate(photographs, tmp_path)
    assert again.exit_code == 0, again.output
    assert again.states["ImageExampleGen"] == "cached" and again.states["Trainer"] == "complete"


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
