"""Engines: OpenVINO computes what TensorFlow computes, sends nothing home, and gives way where it cannot."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.features import backbone_engine as engines
from trainer.features.backbone_engine import Engine, OpenVinoEngine, TensorFlowEngine, build_engine
from trainer.network.backbones import build_backbone, split_at_top

# Not a multiple of what goes into a request.
COUNT = 7


def _run(engine: Engine, images: np.ndarray, rough: bool = False) -> tuple[np.ndarray, np.ndarray]:
    activations = np.full((len(images), *engine.activation_shape), np.nan, np.float32)
    features = np.full((len(images), engine.channels), np.nan, np.float32)
    engine.start(images, activations, features, rough)
    engine.finish()
    return activations, features


def _images(size: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 255, (COUNT, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("name", ["efficientnet-lite0", "MobileNetV3Small", "ConvNeXtTiny"])
def test_openvino_computes_what_tensorflow_computes(name: str) -> None:
    weights = "imagenet" if name.startswith("efficientnet-lite") else "none"
    parts = split_at_top(build_backbone(name, 96, weights), 0.3)
    activations, features = _run(OpenVinoEngine(*parts), _images(96))
    expected_activations, expected_features = _run(TensorFlowEngine(*parts), _images(96))
    np.testing.assert_allclose(features, expected_features, rtol=0, atol=1e-4 * np.abs(expected_features).max())
    scale = np.abs(expected_activations).max()
    np.testing.assert_allclose(activations, expected_activations, rtol=0, atol=1e-4 * scale)


def test_rough_features_are_near_the_exact_ones() -> None:
    engine = OpenVinoEngine(*split_at_top(build_backbone("efficientnet-lite0", 96, "imagenet"), 0.3))
    (_, exact), (_, rough) = _run(engine, _images(96)), _run(engine, _images(96), rough=True)
    assert np.linalg.norm(rough - exact) < 0.2 * np.linalg.norm(exact)


@pytest.mark.parametrize("make", [OpenVinoEngine, TensorFlowEngine])
def test_the_lower_part_runs_alone(
    make: Callable[[keras.Model, keras.Model], Engine], new_toy_backbone: Callable[[], keras.Model]
) -> None:
    engine = make(*split_at_top(new_toy_backbone(), 0.4))
    alone = np.full((COUNT, *engine.activation_shape), np.nan, np.float32)
    engine.start(_images(32), alone, None)
    engine.finish()
    np.testing.assert_allclose(alone, _run(engine, _images(32))[0], rtol=1e-5, atol=1e-5)


def test_everything_started_is_there_in_its_place(new_toy_backbone: Callable[[], keras.Model]) -> None:
    parts = split_at_top(new_toy_backbone(), 0.4)
    images = np.random.default_rng(2).uniform(0, 255, (50, 32, 32, 3)).astype(np.float32)
    engine = OpenVinoEngine(*parts)
    features = np.empty((50, engine.channels), np.float32)
    buffer = np.empty((5, 32, 32, 3), np.float32)
    for first in range(0, 50, 5):
        # The caller may use its memory again at once.
        buffer[:] = images[first : first + 5]
        engine.start(buffer, None, features[first : first + 5])
    engine.finish()
    np.testing.assert_allclose(features, _run(TensorFlowEngine(*parts), images)[1], rtol=1e-4, atol=1e-5)


def test_the_log_says_which_engine_runs(
    new_toy_backbone: Callable[[], keras.Model], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="crackgate"):
        assert isinstance(build_engine(*split_at_top(new_toy_backbone(), 0.4)), OpenVinoEngine)
    assert "the frozen backbone runs in OpenVINO" in caplog.messages


@pytest.mark.parametrize("reason", ["absent", "cannot convert", "computes something else"])
def test_tensorflow_takes_over_and_the_log_says_why(
    reason: str,
    new_toy_backbone: Callable[[], keras.Model],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lower, upper = split_at_top(new_toy_backbone(), 0.4)
    if reason == "absent":
        monkeypatch.setitem(sys.modules, "openvino", None)
        detail = "import of openvino halted"
    elif reason == "cannot convert":
        upper = keras.Model(upper.input, keras.layers.Lambda(tf.math.lgamma)(upper.output))
        detail = "Lgamma"
    else:
        monkeypatch.setattr(engines, "_TOLERANCE", 0.0)
        detail = "its features differ from TensorFlow's by "
    with caplog.at_level(logging.INFO, logger="crackgate"):
        engine = build_engine(lower, upper)
    assert isinstance(engine, TensorFlowEngine)
    assert "runs in TensorFlow, slower: OpenVINO cannot run it: " in caplog.text
    assert detail in caplog.text
    images = _images(32)
    pooled = keras.ops.convert_to_numpy(upper(lower(images))).mean(axis=(1, 2))
    np.testing.assert_allclose(_run(engine, images)[1], pooled, rtol=1e-4, atol=1e-5)


_CONVERSION = """
import keras
from trainer.features.backbone_engine import OpenVinoEngine
images = keras.Input((32, 32, 3))
cut = keras.layers.Conv2D(4, 3)(images)
OpenVinoEngine(keras.Model(images, cut), keras.Model(cut, keras.layers.ReLU()(cut)))
"""


def test_openvino_reports_nothing_to_its_maker(tmp_path: Path) -> None:
    # Where it does, it notes an identifier of the user in the home folder first. Not in CI.
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "2"}
    subprocess.run([sys.executable, "-c", _CONVERSION], env=environment, check=True, capture_output=True)
    assert not (tmp_path / "intel").exists()
