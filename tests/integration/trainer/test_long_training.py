"""Trainings in processes of their own: killed at any moment, on several devices, by several workers."""

import json
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.toy_training import OPTIONS, Result, finish, options, start

MEASURES = ("loss", "accuracy", "val_loss", "val_accuracy")


def _train(folder: Path, changes: dict[str, Any], devices: int = 1) -> Result:
    folder.mkdir()
    return finish(start(folder, options(**changes), devices), folder)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return _train(tmp_path_factory.mktemp("trainings") / "uninterrupted", {})


# Dropout draws another mask on each device, so that only trainings without it can be compared; one device alone would
# compute in bfloat16.
ALIKE = {"dropout": 0.0, "mixed_precision": "none", "head_epochs": 4, "fine_tune_epochs": 3}


@pytest.fixture(scope="module")
def one_device(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return _train(tmp_path_factory.mktemp("trainings") / "one", ALIKE)


def _assert_same(result: Result, expected: Result, tolerance: float) -> None:
    for weight, same in zip(result.weights, expected.weights, strict=True):
        np.testing.assert_allclose(weight, same, rtol=tolerance, atol=tolerance)
    for stage in ("head", "fine_tune"):
        for measure in MEASURES:
            assert result.history[stage][measure] == pytest.approx(expected.history[stage][measure], abs=tolerance)
    assert result.history["fine_tune_kept"] == expected.history["fine_tune_kept"]


def test_the_toy_learns_in_both_stages(uninterrupted: Result) -> None:
    # Otherwise the comparisons below would compare next to nothing.
    head, fine_tune = uninterrupted.history["head"]["val_loss"], uninterrupted.history["fine_tune"]["val_loss"]
    assert min(fine_tune) < min(head) < head[0]
    assert uninterrupted.history["fine_tune_kept"]


def test_a_training_killed_again_and_again_ends_with_the_same_weights(uninterrupted: Result, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first_epochs = []
    for _ in range(3):
        process = start(tmp_path, OPTIONS)
        first_epochs.append(_epochs(tmp_path))
        # Somewhere within the next epochs, and sometimes before the first one.
        _wait_for_epochs(tmp_path, first_epochs[-1] + int(rng.integers(0, 4)))
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.join()
        assert process.exitcode == -9
    for stage in ("head", "fine_tune"):
        # The last attempt alone has to write what all of them measured.
        shutil.rmtree(tmp_path / stage, ignore_errors=True)
    result = finish(start(tmp_path, OPTIONS), tmp_path)
    assert _epochs(tmp_path) > max(first_epochs) > 0
    _assert_same(result, uninterrupted, tolerance=1e-6)
    for stage in ("head", "fine_tune"):
        assert _logged_losses(tmp_path / stage / "validation") == pytest.approx(result.history[stage]["val_loss"])


def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_a_training_that_has_ended_goes_no_further(
    uninterrupted: Result, tmp_path: Path
) -> None:
    for _ in range(2):
        result = finish(start(tmp_path, OPTIONS), tmp_path)
        _assert_same(result, uninterrupted, tolerance=0)


def test_two_devices_learn_what_one_does(one_device: Result, tmp_path: Path) -> None:
    # 52 images in batches of 16: the last one has 4, and not every one of 5 devices gets one of them.
    for devices in (2, 5):
        result = _train(tmp_path / str(devices), {**ALIKE, "strategy": "mirrored"}, devices)
        _assert_same(result, one_device, tolerance=1e-4)


def test_dropout_on_two_devices_is_reproducible(tmp_path: Path) -> None:
    brief = {"head_epochs": 3, "fine_tune_epochs": 2, "strategy": "mirrored"}
    first, again = (_train(tmp_path / name, brief, devices=2) for name in ("first", "again"))
    _assert_same(again, first, tolerance=1e-6)


def test_two_workers_learn_what_one_does(one_device: Result, tmp_path: Path) -> None:
    members = [f"localhost:{port}" for port in _free_ports(2)]
    processes, folders = [], []
    for index in range(2):
        folder = tmp_path / str(index)
        folder.mkdir()
        config = json.dumps({"cluster": {"worker": members}, "task": {"type": "worker", "index": index}})
        processes.append(start(folder, options(**ALIKE, strategy="multi_worker"), tf_config=config))
        folders.append(folder)
    for process, folder in zip(processes, folders, strict=True):
        _assert_same(finish(process, folder), one_device, tolerance=1e-4)
    assert [(folder / "chief").read_text() for folder in folders] == ["True", "False"]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_too(precision: str, one_device: Result, tmp_path: Path) -> None:
    result = _train(tmp_path / precision, {**ALIKE, "mixed_precision": precision})
    assert {weight.dtype for weight in result.weights} == {np.dtype(np.float32)}
    for stage in ("head", "fine_tune"):
        assert result.history[stage]["val_loss"] == pytest.approx(one_device.history[stage]["val_loss"], abs=0.05)
    assert "no GPU" in (tmp_path / precision / "output").read_text()


def _epochs(folder: Path) -> int:
    """Epochs that the checkpoints hold, over both stages."""
    epochs = 0
    for file in (folder / "checkpoints").glob("*.npz"):
        with np.load(file) as content:
            epochs += len(json.loads(str(content["history"]))["loss"])
    return epochs


def _wait_for_epochs(folder: Path, epochs: int) -> None:
    until = time.monotonic() + 120
    while _epochs(folder) < epochs:
        assert time.monotonic() < until, (folder / "output").read_text()
        time.sleep(0.01)


def _logged_losses(folder: Path) -> list[float]:
    (file,) = folder.glob("events.out.tfevents.*")
    return [
        float(tf.make_ndarray(value.tensor))
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if value.tag == "epoch_loss"
    ]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for free in sockets:
            free.bind(("localhost", 0))
        return [free.getsockname()[1] for free in sockets]
    finally:
        for free in sockets:
            free.close()
