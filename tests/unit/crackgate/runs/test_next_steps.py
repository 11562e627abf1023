"""After a verdict: commands for a release; what stays, which images and what to try for a refusal."""

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from crackgate.contracts.evaluation import NotableImage, NotableImages, Outcome
from crackgate.contracts.verdict import Verdict
from crackgate.releases import publish
from crackgate.runs.conclusion import conclude
from crackgate.runs.lineage import Artifact, Execution
from crackgate.runs.next_steps import next_steps
from crackgate.runs.summary import Summary
from crackgate.runs.workspace import Workspace
from crackgate_cli.main import app
from crackgate_cli.tables.summary import print_summary
from tests.helpers.filled_summary import fill_summary, requirement
from tests.helpers.pushing import RELEASE, stage, write_model


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Its name needs quotes in a shell."""
    return Workspace(tmp_path / "site 7")


@pytest.fixture
def version(workspace: Workspace, tmp_path: Path) -> Path:
    return publish(write_model(tmp_path / "model"), workspace.serving, RELEASE)


def said(summary: Summary, workspace: Workspace, serving: Path | None = None) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for step in next_steps(summary, workspace, serving or workspace.serving):
        lines.setdefault(step.about, []).append(step.said)
    return lines


def pushed(version: Path, run_id: str) -> Summary:
    """What a run comes to whose Pusher gave this version."""
    summary = fill_summary()
    summary.run_id = run_id
    artifact = Artifact(1, "PushedModel", "", {"pushed_destination": str(version)})
    pusher = Execution(1, run_id, "Pusher", "complete", 0, {}, outputs={"pushed_model": [artifact]})
    conclude(summary, {"Pusher": pusher})
    return summary


def test_a_release_is_followed_by_commands_that_the_shell_takes(workspace: Workspace, version: Path) -> None:
    summary = pushed(version, RELEASE.lineage.run_id)
    assert summary.verdict == Verdict.RELEASED
    lines = said(summary, workspace)
    assert list(lines) == ["predict", "inspect", "serve"]
    for name, (line,) in lines.items():
        program, command, *arguments = shlex.split(line)
        assert (program, command) == ("crackgate", name) and arguments[-2:] == ["--workspace", str(workspace.root)]
    verified = CliRunner().invoke(app, ["verify", *shlex.split(lines["serve"][0])[2:]])
    assert verified.exit_code == 0 and "intact" in verified.stdout, "the options name the serving directory"


def test_the_default_workspace_needs_no_option(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.root.mkdir()
    monkeypatch.chdir(workspace.root)
    assert said(fill_summary(), Workspace(workspace.root / "workspace"))["serve"] == ["crackgate serve"]


def test_a_serving_directory_elsewhere_is_named(workspace: Workspace, version: Path) -> None:
    assert version.parent == workspace.serving
    lines = said(fill_summary(), Workspace(workspace.root / "other"), workspace.serving)
    assert lines["serve"] == [f"crackgate serve --serving {shlex.quote(str(workspace.serving))}"]


def test_a_version_that_was_altered_since_is_not_unchanged(version: Path) -> None:
    weights = version / "variables" / "variables.data-00000-of-00001"
    weights.write_bytes(bytes(weights.stat().st_size))
    summary = pushed(version, "20270101-000000")
    assert (summary.verdict, summary.exit_code) == (Verdict.FAILED, 1)
    assert weights.name in summary.reasons[0] and "run with --no-cache" in summary.reasons[0]


def test_a_model_that_an_earlier_run_released_is_unchanged(workspace: Workspace, version: Path) -> None:
    summary = pushed(version, "20270101-000000")
    assert (summary.verdict, summary.exit_code, summary.pushed_to) == (Verdict.UNCHANGED, 0, str(version))
    text = io.StringIO()
    print_summary(Console(file=text, width=300), summary, "s.json", next_steps(summary, workspace, workspace.serving))
    assert f"UNCHANGED: an earlier run released this very model as version {version.name}" in text.getvalue()
    assert "RELEASED" not in text.getvalue() and "crackgate serve --workspace" in text.getvalue()
    newer = publish(write_model(workspace.root / "newer", seed=1), workspace.serving, RELEASE)
    assert said(summary, workspace)["production"] == [f"version {newer.name} stays in production"]


def test_a_refusal_says_what_stays_which_images_and_what_to_try(workspace: Workspace, version: Path) -> None:
    summary = fill_summary(Verdict.REFUSED)
    summary.run_id = "20270101-000000"
    recall = {"label": "Positive", "value": 0.98, "low": 0.9, "high": 1, "bound": 0.97, "judged_by": "lower bound"}
    summary.evaluation.requirements = [
        requirement("recall", Outcome.FAILED, images=1, **recall),
        requirement("accuracy", Outcome.FAILED, value=-0.02, bound=-0.01, change="absolute", baseline=0.95),
    ]
    missed = NotableImage(path="Positive/a b.jpg", actual="Positive", label="Negative", scores={"Positive": 0.1})
    broken = missed.model_copy(update={"path": "Negative/c.jpg", "actual": "Negative", "label": ""})
    summary.evaluation.notable_images = NotableImages(
        scored=60, misclassified=4, shown="misclassified", by_class={"Positive": [missed] * 3, "Negative": [broken]}
    )
    summary.outputs["label_list"] = "/w/labels_to_check.csv"
    summary.serving.passed = False
    lines = said(summary, workspace)
    assert lines["production"] == [f"version {version.name} stays in production"]
    (images,) = lines["images"]
    assert images.count("'Positive/a b.jpg' (Positive, called Negative)") == 2 and "4 misclassified images" in images
    assert "'Negative/c.jpg' (Negative, without a score)" in images
    assert [line.split(":")[0].split(" the ")[0] for line in lines["try"]] == [
        "more test images of Positive",
        "correct",
        f"crackgate compare {version.name} 20270101-000000 --workspace '{workspace.root}'",
        "a smaller network, or other limits in [serving_check] where this machine is slower than what serves",
        "more training images like those misclassified, or a larger train.image_size (docs/training.md)",
    ]
    assert "1 image cannot show it" in lines["try"][0], "0.98 reaches 0.97, and its lower bound does not"


def test_a_refusal_by_the_gate_alone_speaks_of_no_training(workspace: Workspace) -> None:
    summary = fill_summary(Verdict.REFUSED)
    summary.judges_only = True
    seen = {"value": 3, "bound": 0, "direction": "at most"}
    summary.evaluation.requirements = [
        requirement("accuracy", Outcome.FAILED, value=0.5, bound=0.9),
        requirement("seen_in_training", Outcome.FAILED, **seen),
    ]
    assert said(summary, workspace) == {
        "production": ["'crackgate gate' releases nothing and changes nothing"],
        "try": ["photographs that the model was not trained on"],
    }


@pytest.mark.parametrize("verdict", [Verdict.DATA_REJECTED, Verdict.FAILED, Verdict.WITHDRAWN], ids=str)
def test_without_a_release_there_is_none_in_production(workspace: Workspace, verdict: Verdict) -> None:
    assert said(fill_summary(verdict), workspace)["production"] == ["no version is in production"]


def test_a_staged_version_waits_for_a_person(workspace: Workspace, version: Path, tmp_path: Path) -> None:
    staged = stage(write_model(tmp_path / "b", seed=1), workspace.serving)
    summary = fill_summary(Verdict.STAGED)
    summary.pushed_version = staged
    lines = said(summary, workspace)
    assert lines["production"] == [f"version {version.name} stays in production"]
    approve = shlex.split(lines["approve"][0])
    assert CliRunner().invoke(app, approve[1:]).exit_code == 0
    assert said(summary, workspace)["production"] == [f"version {staged} stays in production"]
