"""Strategies: one device by default, and errors that say what to do."""

import json

import keras
import pytest
import tensorflow as tf

from crackgate.config.train import TrainOptions
from trainer.strategy import build_strategy, is_chief, on_all_devices, precision

WORKERS = {"worker": ["one:1234", "two:1234"]}


def test_by_default_nothing_is_distributed() -> None:
    strategy = build_strategy(TrainOptions())
    assert strategy.num_replicas_in_sync == 1
    assert strategy is tf.distribute.get_strategy()
    assert is_chief(strategy)
    assert on_all_devices(len) is len


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        "[]",
        json.dumps({"cluster": WORKERS}),
        json.dumps({"cluster": WORKERS, "task": {"type": "worker", "index": 2}}),
        json.dumps({"cluster": WORKERS, "task": {"type": "chief", "index": 0}}),
    ],
)
def test_workers_need_a_tf_config_that_names_them(content: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if content is not None:
        monkeypatch.setenv("TF_CONFIG", content)
    with pytest.raises(ValueError, match=r"TF_CONFIG does not name this process, received .*; it is JSON like"):
        build_strategy(TrainOptions(strategy="multi_worker"))


def test_workers_must_meet_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    tf.constant(1)
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": WORKERS, "task": {"type": "worker", "index": 0}}))
    with pytest.raises(ValueError, match="Run the Trainer in a process of its own"):
        build_strategy(TrainOptions(strategy="multi_worker"))


def test_the_precision_ends_with_the_block() -> None:
    before = keras.config.dtype_policy().name
    for name in ("bfloat16", "float16"):
        with precision(name):
            layer = keras.layers.Dense(2)
            layer.build((None, 3))
        assert (layer.compute_dtype, layer.kernel.dtype) == (name, "float32")
    with precision("none"):
        assert keras.layers.Dense(2).compute_dtype == "float32"
    assert keras.config.dtype_policy().name == before
