"""From photographs to a released model, and what the next run makes of it.

The tests share a workspace: each goes on where the ones before it have left it, in the order of this file.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image, ImageEnhance

from crackgate.source_digest import PACKAGES
from tests.helpers.command import PROJECT, Run, crackgate, run_crackgate, start_crackgate

ALL_COMPONENTS = {
    "ImageExampleGen",
    "CuratedSchema",
    "StatisticsGen",
    "ExampleValidator",
    "DataPage",
    "DataGate",
    "ReleasedStatisticsResolver",
    "DriftCheck",
    "LeakCheck",
    "Trainer",
    "BaselineResolver",
    "Evaluator",
    "ServingCheck",
    "Pusher",
}


def versions(workspace: Path) -> list[str]:
    return sorted(path.parent.name for path in (workspace / "serving").glob("*/manifest.json"))


def known_versions(workspace: Path) -> dict[int, str]:
    rows = json.loads(crackgate("versions", "--workspace", workspace, "--json").stdout)
    return {row["version"]: row["state"] for row in rows}


def shown_baseline(workspace: Path) -> str:
    lines = crackgate("runs", "show", "latest", "--workspace", workspace).stdout.splitlines()
    return next(line for line in lines if line.startswith("baseline"))


def ran_anew(run: Run) -> set[str]:
    # The Resolvers are asked in every run: that is how a run learns what was released meanwhile.
    return {name for name, state in run.states.items() if state != "cached" and not name.endswith("Resolver")}


def test_a_first_run_releases_a_model_and_accounts_for_everything(first_run: Run, workspace: Path) -> None:
    summary = first_run.summary
    assert first_run.exit_code == 0, first_run.output
    assert summary["verdict"] == "released" and summary["reasons"] == []
    assert versions(workspace) == [str(summary["pushed_version"])]
    assert Path(summary["pushed_to"]).parent == workspace / "serving"
    assert summary["seconds"] > sum(step["seconds"] for step in summary["components"]), "from the start of the process"
    assert set(first_run.states) == ALL_COMPONENTS and set(first_run.states.values()) == {"complete"}

    images = summary["images"]
    assert images["found"] == images["ingested"] == 240 and images["rejected"] == []
    assert list(images["splits"]) == ["train", "eval", "test"]
    assert sum(sum(split.values()) for split in images["splits"].values()) == 240
    assert set(first_run.requirements) == {
        *((name, None, "") for name in ("seen_in_training", "unusable_scores", "accuracy")),
        *((name, label, "") for name in ("auc", "precision", "recall") for label in ("Negative", "Positive")),
    }
    assert {row["outcome"] for row in first_run.requirements.values()} == {"passed"}
    assert first_run.requirements["seen_in_training", None, ""]["estimate"]["value"] == 0
    evaluation = summary["evaluation"]
    assert evaluation["positive_classes"] == ["Positive"] and 0 < evaluation["threshold"] < 1
    assert {actual: sum(row.values()) for actual, row in evaluation["confusion"].items()} == images["splits"]["test"]


def test_a_first_run_leaves_a_report_for_people_and_for_machines_and_a_model_card(
    first_run: Run, workspace: Path
) -> None:
    outputs = first_run.summary["outputs"]
    page = Path(outputs["report"]).read_text(encoding="utf-8")
    assert (
        f"Released as version {first_run.summary['pushed_version']}" in page
        and first_run.summary["report_error"] is None
    )
    report = json.loads(Path(outputs["report_json"]).read_text(encoding="utf-8"))
    assert report["run"]["evaluation"] == first_run.summary["evaluation"]
    test_images = sum(first_run.summary["images"]["splits"]["test"].values())
    assert report["notable_images"]["scored"] == test_images
    # Asked one by one, the model gives the answers that the Evaluator counted.
    confusion = first_run.summary["evaluation"]["confusion"]
    right = sum(row[actual] for actual, row in confusion.items())
    assert report["notable_images"]["misclassified"] == test_images - right
    assert page.count("data:image/jpeg") >= 2
    assert all(component["peak_memory"] > 100_000_000 for component in first_run.summary["components"])
    gates = ElementTree.parse(outputs["gates"])
    assert gates.findall(".//testcase") and not gates.findall(".//failure") + gates.findall(".//error")
    card = workspace / "serving" / "model_cards" / f"{first_run.summary['pushed_version']}.md"
    assert str(card) == outputs["model_card"] and "## Intended use" in card.read_text(encoding="utf-8")
    assert outputs["report"] in first_run.output and str(card) in first_run.output


def test_a_release_can_be_traced_and_verified(first_run: Run, workspace: Path) -> None:
    folder = Path(first_run.summary["pushed_to"])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["lineage"]["run_id"] == first_run.summary["run_id"]
    assert manifest["lineage"]["data_fingerprint"] == first_run.summary["images"]["fingerprint"]
    shown = json.loads(crackgate("runs", "show", "latest", "--workspace", workspace, "--json").stdout)
    assert manifest["lineage"]["execution"] in {link["execution"] for link in shown["links"]}
    (overall,) = [part for part in first_run.summary["evaluation"]["slices"] if part["name"] == "all images"]
    assert manifest["metrics"][0]["value"] == overall["images"] and manifest["metrics"][1:] == overall["metrics"]
    verified = crackgate("verify", folder.name, "--workspace", workspace)
    assert verified.returncode == 0 and f"intact  version {folder.name}" in verified.stdout
    listed = crackgate("versions", "--workspace", workspace)
    (accuracy,) = (row["value"] for row in overall["metrics"] if row["metric"] == "accuracy")
    assert "released, in production" in listed.stdout and f"{accuracy:.4f}" in listed.stdout


def test_the_closing_words_say_what_the_summary_says(first_run: Run) -> None:
    for text in ("RELEASED as version", "240 found, 240 ingested, 0 rejected", "recall of Positive", "summary.json"):
        assert text in first_run.output


def test_curves_report_data_page_and_logs_are_where_the_summary_says(first_run: Run) -> None:
    outputs = first_run.summary["outputs"]
    with Image.open(outputs["training_curves"]) as curves:
        assert curves.width > 500
    report = json.loads(Path(outputs["classification_report"]).read_text())
    support = sum(report[label]["support"] for label in ("Negative", "Positive"))
    assert support == sum(first_run.summary["images"]["splits"]["eval"].values())
    assert "<html" in Path(outputs["data_page"]).read_text(encoding="utf-8")
    assert list(Path(outputs["tensorboard"]).rglob("events.out.tfevents.*"))
    assert "Component Pusher is finished." in Path(first_run.summary["log"]).read_text()
    assert "Component Pusher" not in first_run.output, "TFX's log lines belong in the log file"


@pytest.mark.usefixtures("first_run")
def test_predict_scores_files_with_the_released_model(photographs: Path, workspace: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    finished = crackgate("predict", photographs / "Positive", bad, "--workspace", workspace, "--json")
    rows = json.loads(finished.stdout)
    assert finished.returncode == 1, "one file could not be scored"
    assert len(rows) == 121 and rows[-1]["image"] == str(bad) and "not an image" in rows[-1]["error"]
    assert all(sum(row["scores"].values()) == pytest.approx(1, abs=1e-5) for row in rows[:-1])
    assert all(row["probability"] == row["scores"][row["label"]] for row in rows[:-1])
    assert all(row["is_positive"] == (row["label"] == "Positive") for row in rows[:-1])
    assert sum(row["label"] == "Positive" for row in rows[:-1]) > 60

    table = crackgate("predict", photographs / "Positive" / "00001.jpg", "--workspace", workspace)
    assert table.returncode == 0 and "probability" in table.stdout and "00001.jpg" in table.stdout
    assert "'Positive' from a score of 0." in table.stdout


def test_an_identical_run_repeats_nothing(first_run: Run, photographs: Path, workspace: Path) -> None:
    first_run_id = first_run.summary["run_id"]
    released = versions(workspace)
    card = Path(first_run.summary["outputs"]["model_card"])
    written = card.stat().st_mtime_ns
    again = run_crackgate(photographs, workspace)
    assert card.stat().st_mtime_ns == written and again.summary["outputs"]["model_card"] == str(card)
    assert again.summary["verdict"] == "unchanged" and "UNCHANGED: an earlier run released" in again.output
    assert again.exit_code == 0 and ran_anew(again) == {"DriftCheck"}, "it has a release to compare with now"
    assert str(again.summary["pushed_version"]) == released[0] and versions(workspace) == released
    assert again.summary["evaluation"]["comparison"] is None, "a model must not be compared with itself"

    shown = json.loads(crackgate("runs", "show", "latest", "--workspace", workspace, "--json").stdout)
    assert shown["run"]["run_id"] == again.summary["run_id"] and shown["run"]["released_by"] == first_run_id
    assert [link["component"] for link in shown["links"]] == [
        "Pusher",
        "ServingCheck",
        "Evaluator",
        "Trainer",
        "StatisticsGen",
        "ImageExampleGen",
        "CuratedSchema",
    ]
    assert {link["run_id"] for link in shown["links"]} == {first_run_id}, "that is where everything was made"
    assert not any(made["gone"] for link in shown["links"] for made in link["made"])
    fingerprint = first_run.summary["images"]["fingerprint"]
    assert shown["data"] == {"folder": str(photographs), "fingerprint": fingerprint}


def test_the_job_of_a_ci_system_ends_as_the_gate_does_and_keeps_its_results(
    first_run: Run, photographs: Path, tmp_path: Path
) -> None:
    model = first_run.summary["pushed_to"]
    places = {"MODEL": model, "DATA": str(photographs), "RESULTS": str(tmp_path / "results"), "TMPDIR": str(tmp_path)}
    environment = {**os.environ, **places, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = [str(PROJECT / "tools/ci/gate.sh")]
    refused = subprocess.run(script, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["results"], "the job's workspace is gone"
    results = {file.name for file in (tmp_path / "results").iterdir()}
    assert results == {"report.html", "report.json", "summary.json", "gates.xml"}
    failures = ElementTree.parse(tmp_path / "results/gates.xml").getroot().iter("failure")
    assert any("seen in training" in failure.get("message", "") for failure in failures)


@pytest.mark.usefixtures("first_run")
def test_a_model_that_misses_a_threshold_is_not_released(photographs: Path, workspace: Path) -> None:
    released = versions(workspace)
    run = run_crackgate(photographs, workspace, "gate.min_accuracy=1.0", "gate.min_auc=1.0")
    assert run.exit_code == 3, run.output
    # DataGate knows whether they can be reached with so many test images.
    assert ran_anew(run) == {"DataGate", "Evaluator", "ServingCheck", "Pusher"}, "the thresholds concern no one else"
    assert any(reason.startswith("accuracy: 0.") and "required ≥ 1.0000" in reason for reason in run.summary["reasons"])
    assert run.summary["pushed_version"] is None and versions(workspace) == released
    assert "REFUSED" in run.output
    assert "Refused" in Path(run.summary["outputs"]["report"]).read_text(encoding="utf-8")
    assert "model_card" not in run.summary["outputs"]


BETTER = ("train.head_epochs=30", "train.fine_tune_epochs=4")
# Random weights and one epoch: hardly better than chance, and the absolute thresholds let it through.
WORSE = (
    "train.weights=none",
    "train.head_epochs=1",
    "train.fine_tune_epochs=0",
    "gate.min_accuracy=0",
    "gate.min_auc=0",
    "gate.min_precision=0",
    "gate.min_recall=0",
    "gate.max_accuracy_drop=0.01",
)


@pytest.fixture(scope="module")
def worse_run(first_run: Run, photographs: Path, workspace: Path) -> Run:  # noqa: ARG001 - it comes first
    """A run whose model is refused."""
    return run_crackgate(photographs, workspace, *WORSE)


@pytest.fixture(scope="module")
def better_run(worse_run: Run, photographs: Path, workspace: Path) -> Run:  # noqa: ARG001 - it comes first
    """A run that releases a second version."""
    return run_crackgate(photographs, workspace, *BETTER)


@pytest.mark.usefixtures("first_run")
def test_an_interrupted_run_leaves_a_summary_and_the_next_one_goes_on(
    photographs: Path, workspace: Path, request: pytest.FixtureRequest
) -> None:
    before = set(workspace.glob("runs/*"))
    process = start_crackgate(photographs, workspace, *WORSE)
    try:
        assert process.stdout is not None
        while "Trainer ..." not in (line := process.stdout.readline()):
            assert line, "the run ended before its Trainer began"
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    (folder,) = set(workspace.glob("runs/*")) - before
    summary = json.loads((folder / "summary.json").read_text())
    assert process.returncode == 1, output
    assert summary["reasons"] == ["interrupted during Trainer"]
    assert "interrupted during Trainer" in Path(summary["outputs"]["report"]).read_text(encoding="utf-8")

    again: Run = request.getfixturevalue("worse_run")
    assert again.summary["verdict"] == "refused", again.output
    assert again.states["ImageExampleGen"] == "cached" and again.states["Trainer"] == "complete"


def test_a_worse_model_is_refused_and_a_better_one_compared_with_the_one_in_production(
    first_run: Run, worse_run: Run, workspace: Path, request: pytest.FixtureRequest
) -> None:
    released, worse = [str(first_run.summary["pushed_version"])], worse_run
    assert worse.exit_code == 3, worse.output
    assert worse.requirements["accuracy", None, ""]["outcome"] == "passed"
    assert worse.requirements["accuracy", None, "absolute"]["outcome"] == "failed"
    assert any(reason.startswith("change of accuracy: -0.") for reason in worse.summary["reasons"])
    assert versions(workspace) == released

    better: Run = request.getfixturevalue("better_run")
    assert better.exit_code == 0, better.output
    assert ran_anew(better) == {"Trainer", "Evaluator", "ServingCheck", "Pusher"}
    assert better.requirements["accuracy", None, "absolute"]["baseline"]["value"] > 0.5
    assert 0 <= better.summary["evaluation"]["comparison"]["p_value"] <= 1
    assert better.summary["evaluation"]["warnings"] == []
    assert versions(workspace) == [*released, str(better.summary["pushed_version"])]

    listed = json.loads(crackgate("runs", "--workspace", workspace, "--json").stdout)
    expected = [(run.summary["run_id"], run.summary["verdict"]) for run in (better, worse)]
    assert [(run["run_id"], run["verdict"]) for run in listed[:2]] == expected
    for run, entry in zip((better, worse), listed, strict=False):
        assert entry["version"] == run.summary["pushed_version"] and entry["tags"] == ["quick"]
        metrics = {(value["metric"], value["label"]) for value in entry["metrics"]}
        assert metrics == {("accuracy", None), ("recall", "Positive")}
    arguments = ("compare", first_run.summary["pushed_version"], "latest", "--workspace", workspace)
    compared = json.loads(crackgate(*arguments, "--json").stdout)
    assert compared["splits"] == {"same": True, "differing": []}
    assert compared["configuration"] == {
        "train.head_epochs": {"first": 15, "second": 30},
        "train.fine_tune_epochs": {"first": 1, "second": 4},
    }
    assert compared["seconds"]["ImageExampleGen"]["second"] is None, "it was taken over"
    assert f"version {released[0]}, released by run {first_run.summary['run_id']}" in shown_baseline(workspace)


def test_a_withdrawn_model_is_not_released_again_even_if_it_is_trained_anew(
    first_run: Run, better_run: Run, photographs: Path, workspace: Path, tmp_path: Path
) -> None:
    in_production, withdrawn = first_run.summary["pushed_version"], better_run.summary["pushed_version"]
    rolled_back = crackgate("rollback", "--workspace", workspace, "--reason", "missed cracks in the rain")
    assert rolled_back.stdout.splitlines()[-1] == f"version {in_production} is in production now"

    for package in PACKAGES:
        shutil.copytree(PROJECT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    _edit(tmp_path / "crackgate_cli" / "main.py")
    copied = run_crackgate(photographs, workspace, *BETTER, cwd=tmp_path)
    assert ran_anew(copied) == set(), "a copy is the same source, and no result depends on the command line"
    assert copied.exit_code == 3 and copied.summary["verdict"] == "withdrawn"
    assert f"released or staged as version {withdrawn} and withdrawn" in copied.summary["reasons"][0]
    assert "missed cracks in the rain" in copied.output and f"rollback --to {withdrawn}" in copied.output
    assert known_versions(workspace) == {in_production: "released", withdrawn: "withdrawn"}
    assert f"{withdrawn} again (withdrawn)" in crackgate("runs", "--workspace", workspace).stdout

    _edit(tmp_path / "trainer" / "fit" / "stages.py")
    # Artifacts of earlier runs take room, and nobody needs those of a release.
    shutil.rmtree(workspace / "pipeline" / "Trainer")
    edited = run_crackgate(photographs, workspace, *BETTER, cwd=tmp_path)
    assert ran_anew(edited) == {"Trainer", "Evaluator", "ServingCheck", "Pusher"}
    assert f"version {in_production}, released by run {first_run.summary['run_id']}" in shown_baseline(workspace)
    assert edited.exit_code == 3
    assert f"released or staged as version {withdrawn} and withdrawn" in edited.summary["reasons"][0]
    assert known_versions(workspace) == {in_production: "released", withdrawn: "withdrawn"}


def _edit(source: Path) -> None:
    with source.open("a") as file:
        file.write("# edited\n")


def test_images_that_drifted_from_the_released_ones_stop_the_run_with_the_reason(
    first_run: Run, photographs: Path, workspace: Path, tmp_path: Path
) -> None:
    assert first_run.exit_code == 0
    darker = tmp_path / "darker"
    for file in photographs.rglob("*.jpg"):
        target = darker / file.relative_to(photographs)
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as picture:
            ImageEnhance.Brightness(picture).enhance(0.5).save(target, quality=95)
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
