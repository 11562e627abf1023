"""Runs in MLflow: a real store on SQLite, a server that is down, and no MLflow at all."""

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crackgate.contracts.evaluation import ALL_IMAGES, MetricValue
from crackgate.contracts.verdict import Verdict
from crackgate.report.content import Training
from crackgate.runs.mlflow_log import MlflowError, check_mlflow, log_run
from crackgate.runs.notes import RunNotes
from tests.helpers.command import crackgate
from tests.helpers.filled_summary import fill_summary
from tests.helpers.image_files import small_picture

if TYPE_CHECKING:
    from mlflow import MlflowClient


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tracking store on SQLite; its tables take seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'store.db'}"


@pytest.fixture
def client(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "MlflowClient":
    # MLflow keeps the files of such a store in the working directory.
    monkeypatch.chdir(tmp_path)
    from mlflow import MlflowClient

    return MlflowClient(store)


def test_a_run_is_found_in_mlflow_with_what_it_came_to(client: "MlflowClient", store: str, tmp_path: Path) -> None:
    summary = fill_summary()
    summary.pushed_version, summary.pushed_to = 7, "/w/serving/7"
    summary.conclude(Verdict.RELEASED, [])
    (overall,) = (part for part in summary.evaluation.slices if part.name == ALL_IMAGES)
    overall.metrics.append(MetricValue(metric="recall", label="Riß (weit)/1", value=0.75, low=0.5))
    overall.metrics.append(MetricValue(metric="auc", label="x", value=None))
    training = Training(head={"loss": [0.7, 0.5]}, fine_tune={"loss": [0.4]}, fine_tune_kept=True)
    (tmp_path / "history.json").write_text(training.model_dump_json())
    summary.outputs = {
        "history": str(tmp_path / "history.json"),
        "report": str(tmp_path / "report.html"),
        "gates": str(tmp_path / "gone.xml"),
    }
    Path(summary.outputs["report"]).write_text("the report")
    summary.write(tmp_path)
    run = client.get_run(log_run(store, summary, RunNotes(name="rain", tags=["night"]), tmp_path))
    assert (run.info.run_name, run.info.status) == ("rain", "FINISHED")
    experiment = client.get_experiment(run.info.experiment_id)
    assert (experiment.name, experiment.tags["mlflow.experimentKind"]) == ("crackgate", "custom_model_development")
    tags = run.data.tags
    assert (tags["crackgate.verdict"], tags["crackgate.version"], tags["crackgate.tags"]) == ("released", "7", "night")
    assert tags["crackgate.model"] == "/w/serving/7" and tags["mlflow.note.content"].startswith("Released as version 7")
    assert run.data.params["gate.min_recall"] == str(summary.config["gate"]["min_recall"])
    metrics = run.data.metrics
    assert metrics["recall of Riß _28_weit_29__2f_1"] == 0.75 and metrics["recall of Riß _28_weit_29__2f_1 low"] == 0.5
    epochs = client.get_metric_history(run.info.run_id, "epoch loss")
    assert [(epoch.step, epoch.value) for epoch in epochs] == [(1, 0.7), (2, 0.5), (3, 0.4)]
    assert not any("auc of x" in name for name in metrics), "it could not be computed"
    assert sorted(file.path for file in client.list_artifacts(run.info.run_id)) == ["report.html", "summary.json"]


def test_the_command_logs_its_run_and_ends_as_without_a_server(
    client: "MlflowClient", store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The user's own setting of MLflow counts.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (tmp_path / "data" / "Positive").mkdir(parents=True)
    small_picture().save(tmp_path / "data" / "Positive" / "a.png")
    command = ("run", "--data", tmp_path / "data", "--workspace", tmp_path / "w", "--name", "one class", "--mlflow")
    logged = crackgate(*command, store)
    assert logged.returncode == 4, logged.stdout + logged.stderr
    number = logged.stdout.partition(" as run ")[2].split()[0]
    run = client.get_run(number)
    assert run.data.tags["crackgate.verdict"] == "data rejected" and run.info.run_name == "one class"
    began = time.monotonic()
    down = crackgate(*command, "http://me:se@cret@127.0.0.1:9")
    assert down.returncode == 4, down.stdout + down.stderr
    said = " ".join(down.stdout.split())
    assert "the run is not, or not wholly, in MLflow at http://127.0.0.1:9" in said and "DATA REJECTED" in said
    assert "cret" not in down.stdout + down.stderr and time.monotonic() - began < 60
    assert len(list((tmp_path / "w" / "runs").glob("*/report.html"))) == 2


@pytest.mark.parametrize("uri", ["", "htp://localhost", "ftp://me:secret@there", "db://there/runs?password=secret"])
def test_an_address_that_is_none_is_refused_before_the_run(uri: str) -> None:
    with pytest.raises(MlflowError, match="the schemes are http, https, sqlite") as caught:
        check_mlflow(uri)
    assert "secret" not in str(caught.value)


def test_without_mlflow_the_extra_is_named_before_the_run(tmp_path: Path) -> None:
    program = "import sys; sys.modules['mlflow'] = None; from crackgate_cli.main import main; main()"
    command = [sys.executable, "-c", program, "run", "--data", tmp_path, "--workspace", tmp_path / "w", "--mlflow", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "pip install 'crackgate[mlflow]'" in done.stderr
    assert not (tmp_path / "w").exists()
