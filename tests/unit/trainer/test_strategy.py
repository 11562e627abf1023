"""Strategies: one device by default, and errors that say what to do."""

import json
import logging
from contextlib import nullcontext

import pytest
import tensorflow as tf

from crackgate.config.train import TrainOptions
from crackgate.model.inference_requests import computes_in_bfloat16
from trainer.strategy import build_strategy, is_chief, on_all_devices, training_policy

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


@pytest.mark.parametrize("in_scope", [False, True])
def test_the_policy_is_what_was_asked_for(in_scope: bool, caplog: pytest.LogCaptureFixture) -> None:
    scope = tf.distribute.MirroredStrategy(["/cpu:0"]).scope() if in_scope else nullcontext()
    with scope, caplog.at_level(logging.WARNING, logger="crackgate"):
        assert training_policy("none") == "float32"
        assert not caplog.messages
        assert training_policy("bfloat16") == "mixed_bfloat16"
        assert training_policy("float16") == "mixed_float16"
    assert ["there is no GPU" in message for message in caplog.messages] == [True, True]


def test_auto_takes_bfloat16_on_a_single_cpu_that_computes_in_it() -> None:
    assert training_policy("auto") == ("mixed_bfloat16" if computes_in_bfloat16() else "float32")
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        assert training_policy("auto") == "float32"
