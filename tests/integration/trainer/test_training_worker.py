"""`crackgate train-worker`: two processes train one model on stored examples, and the first one writes it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tensorflow as tf

from components.image_example_gen.component import ImageExampleGen
from crackgate.config.configuration import ConfigError, load_config
from crackgate.config.data import DataOptions, SplitRatios
from trainer.worker import train_worker

if TYPE_CHECKING:
    from conftest import Bench

PROJECT = Path(__file__).resolve().parents[3]
CLASSES = 'data.classes=["Negative", "Positive"]'
SETTINGS = (
    CLASSES,
    "train.image_size=32",
    "train.views=1",
    "train.batch_size=8",
    "train.head_epochs=2",
    "train.fine_tune_epochs=1",
    "train.target_recall=0.5",
)


@pytest.fixture(scope="module")
def examples(photographs: Path, new_bench: Callable[..., "Bench"]) -> Path:
    bench = new_bench()
    bench.run(
        ImageExampleGen(
            photographs,
            ["Negative", "Positive"],
            DataOptions(split=SplitRatios(train=70, eval=20, test=10), max_rejected_share=0.0, max_imbalance=1.0),
        )
    )
    return Path(bench.output("ImageExampleGen", "examples").uri)


def _start(examples: Path, output: Path, tf_config: dict[str, Any]) -> subprocess.Popen[str]:
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    command = [sys.executable, "-c", "from crackgate_cli.main import main; main()", "train-worker"]
    return subprocess.Popen(
        [*command, "--examples", str(examples), "--output", str(output), *settings],
        cwd=PROJECT,
        env={**os.environ, "TF_CONFIG": json.dumps(tf_config)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


# Half a minute and more of two cores: both load TFX.
@pytest.mark.kubeflow
def test_two_workers_train_one_model_and_the_first_one_writes_it(
    examples: Path, photographs: Path, tmp_path: Path
) -> None:
    with socket.socket() as first, socket.socket() as second:
        for free in (first, second):
            free.bind(("localhost", 0))
        members = [f"localhost:{free.getsockname()[1]}" for free in (first, second)]
    output = tmp_path / "model"
    workers = [
        _start(examples, output, {"cluster": {"worker": members}, "task": {"type": "worker", "index": index}})
        for index in range(2)
    ]
    try:
        logs = [worker.communicate(timeout=300)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(logs)
    assert "training on 2 devices" in logs[0] + logs[1]
    assert f"model in {output}" in logs[0].replace("\n", "") and "the first worker writes the model" in logs[1]
    assert {path.name for path in tmp_path.iterdir()} == {"model"}
    assert {"classification_report.json", "classifier.keras"} <= {
        file.name for file in (output / "model_run").iterdir()
    }
    model = tf.saved_model.load(str(output / "Format-Serving"))
    images = [file.read_bytes() for file in sorted(photographs.glob("*/*.jpg"))[:3]]
    answers = model.signatures["predict_images"](tf.constant(images))
    assert set(answers["label"].numpy()) <= {b"Negative", b"Positive"} and answers["scores"].shape == (3, 2)


@pytest.mark.parametrize(
    ("settings", "folder", "message"),
    [
        ([], ".", "data.classes: received nothing"),
        ([CLASSES], "nowhere", "--examples: no images in"),
        (['data.classes=["Positive", "Negative"]'], ".", "'Negative' has the label 0"),
        (['data.classes=["Negative"]'], ".", "data.classes"),
        ([CLASSES], ".", "TF_CONFIG does not name this process, received ''"),
    ],
)
def test_mistakes_are_told_before_anything_is_waited_for(
    settings: list[str], folder: str, message: str, examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ConfigError, match=message):
        train_worker(examples / folder, tmp_path / "model", load_config(None, settings))
    assert not list(tmp_path.iterdir())


def test_a_worker_started_again_after_the_end_has_nothing_to_do(examples: Path, tmp_path: Path) -> None:
    worker = _start(examples, tmp_path, {})
    assert "nothing to train" in worker.communicate(timeout=100)[0]
    assert worker.returncode == 0
