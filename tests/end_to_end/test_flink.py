"""The whole pipeline with its Beam steps on a Flink cluster comes to the same as on one process."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crackgate.config.beam import BEAM_COMPONENTS
from tests.helpers.command import PROJECT, QUICK, Run, crackgate, run_crackgate

if TYPE_CHECKING:
    from tools.flink_cluster.cluster import FlinkCluster

pytestmark = pytest.mark.flink


@pytest.fixture(scope="module")
def on_flink(photographs: Path, flink: "FlinkCluster", tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_crackgate(photographs, tmp_path_factory.mktemp("workspace"), *flink.settings(), cwd=PROJECT)


def _records(folder: Path) -> list[bytes]:
    """Which shard a record is in depends on the runner, what is in a split does not."""
    import tensorflow as tf

    files = sorted(map(str, folder.glob("*.gz")))
    return sorted(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())


def _artifact(run: Run, pattern: str) -> Path:
    """Below the pipeline's root; a first run has one of each."""
    root = next(path for path in Path(run.summary["outputs"]["examples"]).parents if path.name == "pipeline")
    (found,) = root.glob(pattern)
    return found


def test_a_model_is_released_and_every_beam_step_was_a_job_of_flink(on_flink: Run, flink: "FlinkCluster") -> None:
    assert on_flink.exit_code == 0, on_flink.output
    assert (Path(on_flink.summary["pushed_to"]) / "saved_model.pb").is_file()
    assert set(on_flink.states.values()) == {"complete"}
    states = [job["state"] for job in flink.ask("/jobs/overview")["jobs"]]
    # DataPage reads twice.
    assert len(states) == len(BEAM_COMPONENTS) + 1 and set(states) == {"FINISHED"}


def test_the_task_managers_shared_the_work(on_flink: Run, flink: "FlinkCluster") -> None:
    assert on_flink.exit_code == 0
    hosts = {host for job in flink.ask("/jobs/overview")["jobs"] for host in _task_managers_of(flink, job["jid"])}
    assert len(hosts) == 2


def _task_managers_of(flink: "FlinkCluster", job: str) -> Iterator[str]:
    for vertex in flink.ask(f"/jobs/{job}")["vertices"]:
        for subtask in flink.ask(f"/jobs/{job}/vertices/{vertex['id']}")["subtasks"]:
            yield subtask["taskmanager-id"]


def test_examples_are_the_same_to_the_bit(first_run: Run, on_flink: Run) -> None:
    for split in ("train", "eval", "test"):
        local, clustered = (
            _records(Path(run.summary["outputs"]["examples"]) / f"Split-{split}") for run in (first_run, on_flink)
        )
        assert local == clustered and local
    assert first_run.summary["images"] | {"fingerprint": ""} == on_flink.summary["images"] | {"fingerprint": ""}


def test_statistics_are_the_same(first_run: Run, on_flink: Run) -> None:
    from tensorflow_metadata.proto.v0 import statistics_pb2

    for split in ("train", "eval", "test"):
        files = [_artifact(run, f"StatisticsGen/statistics/*/Split-{split}") for run in (first_run, on_flink)]
        local, clustered = (
            statistics_pb2.DatasetFeatureStatisticsList.FromString((file / "FeatureStats.pb").read_bytes())
            for file in files
        )
        assert local.datasets[0].num_examples == clustered.datasets[0].num_examples > 0
        of_flink = {feature.path.step[0]: feature for feature in clustered.datasets[0].features}
        assert len(of_flink) == len(local.datasets[0].features)
        for feature in local.datasets[0].features:
            other = of_flink[feature.path.step[0]]
            assert feature.WhichOneof("stats") == other.WhichOneof("stats")
            if feature.HasField("num_stats"):
                for figure in ("mean", "std_dev", "min", "max", "median"):
                    assert getattr(other.num_stats, figure) == pytest.approx(getattr(feature.num_stats, figure))
            else:
                assert other.string_stats.unique == feature.string_stats.unique


def test_predict_on_flink_gives_the_rows_that_one_process_gives(
    on_flink: Run, flink: "FlinkCluster", photographs: Path, tmp_path: Path
) -> None:
    shutil.copytree(photographs, tmp_path / "photographs")
    (tmp_path / "photographs" / "no image.jpg").write_bytes(b"text")
    local, clustered = (
        _predict(on_flink, tmp_path / "photographs", tmp_path / name, beam)
        for name, beam in (("a", ["beam.profile=local"]), ("b", flink.settings()))
    )
    assert len(local) == len(clustered) == sum(file.is_file() for file in photographs.rglob("*")) + 1
    for mine, other in zip(local, clustered, strict=True):
        if mine["error"] is None:
            mine |= {name: pytest.approx(mine[name], abs=1e-5) for name in ("probability", "scores")}
            mine["unfamiliarity"] = pytest.approx(mine["unfamiliarity"], rel=1e-3)
        assert mine == other
    assert [row["image"] for row in clustered if row["error"]] == [str(tmp_path / "photographs" / "no image.jpg")]


def _predict(run: Run, images: Path, output: Path, beam: list[str]) -> list[dict]:
    """Rows by image, from shards whatever their number."""
    options = [part for setting in beam for part in ("--set", setting)]
    model = run.summary["pushed_to"]
    finished = crackgate(
        "predict", images, "--model", model, "--beam", "--format", "jsonl", "--output", output, *options
    )
    # One file is no image.
    assert finished.returncode == 1, finished.stdout + finished.stderr
    lines = [line for file in output.glob("predictions-*.jsonl") for line in file.read_text().splitlines()]
    return sorted(map(json.loads, lines), key=lambda row: row["image"])


def test_the_same_model_gets_the_same_metrics(first_run: Run, flink: "FlinkCluster", tmp_path: Path) -> None:
    """Two trainings are never quite alike, so one model is judged twice."""
    local, clustered = (
        _judge(first_run, tmp_path / name, settings) for name, settings in (("a", []), ("b", flink.settings()))
    )
    assert local["reasons"] == clustered["reasons"]
    for mine, other in zip(local["evaluation"]["slices"], clustered["evaluation"]["slices"], strict=True):
        assert (mine["name"], mine["images"]) == (other["name"], other["images"])
        for one, same in zip(mine["metrics"], other["metrics"], strict=True):
            numbers = {end: one[end] for end in ("value", "low", "high") if one[end] is not None}
            assert same == {**one, **{end: pytest.approx(number, rel=1e-6) for end, number in numbers.items()}}
    assert local["evaluation"]["confusion"] == clustered["evaluation"]["confusion"]


def _judge(run: Run, workspace: Path, settings: list[str]) -> dict:
    options = [part for setting in (*QUICK, *settings) for part in ("--set", setting)]
    model, data = run.summary["pushed_to"], run.summary["data"]
    finished = crackgate("gate", "--model", model, "--data", data, "--workspace", workspace, *options)
    (summary,) = workspace.glob("runs/*/summary.json")
    # It has seen most of these images in training, and so does not pass.
    assert finished.returncode == 3, finished.stdout + finished.stderr
    return json.loads(summary.read_text())
