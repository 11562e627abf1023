"""TFX's Tuner and Trainer, run by TFX's launcher: the trials share the backbone's passes, the best one is trained."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tfx import v1 as tfx

from components.image_example_gen.component import ImageExampleGen
from crackgate.config.data import DataOptions, SplitRatios
from crackgate.config.train import TrainOptions
from crackgate.contracts.model_files import CARD_FILE
from crackgate.model.decoding import decode_image
from trainer.tuner import search_space

if TYPE_CHECKING:
    from conftest import Bench

OPTIONS: dict[str, Any] = {
    "backbone": "efficientnet-lite0",
    "image_size": 32,
    "views": 2,
    "dropout": 0.25,
    "head_epochs": 2,
    "head_learning_rate": 0.01,
    "fine_tune_epochs": 1,
    # With more, three steps on 46 views would leave the eval loss to chance.
    "fine_tune_learning_rate": 1e-5,
    "fine_tune_share": 0.1,
    # What is served has to be free of both.
    "strategy": "mirrored",
    "mixed_precision": "bfloat16",
    "seed": 4,
}
TUNED = {"head_learning_rate", "fine_tune_learning_rate", "dropout", "fine_tune_share"}


@dataclass(frozen=True)
class Tuned:
    """What the components left behind."""

    best: dict[str, Any]
    results: list[dict[str, Any]]
    history: dict[str, Any]
    messages: list[str]
    work_dir: Path
    model: Path
    model_run: Path


@pytest.fixture(scope="module")
def tuned(new_bench: Callable[[], "Bench"], photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """Two trials and a training on 40 photographs."""
    work_dir = tmp_path_factory.mktemp("work")
    example_gen = ImageExampleGen(
        photographs,
        ["Negative", "Positive"],
        DataOptions(split=SplitRatios(train=60, eval=30, test=10), max_rejected_share=0.0, max_imbalance=1.0),
    )
    training = {"classes": ["Negative", "Positive"], "options": OPTIONS, "work_dir": str(work_dir)}
    splits = {
        "train_args": tfx.proto.TrainArgs(splits=["train"]),
        "eval_args": tfx.proto.EvalArgs(splits=["eval"]),
    }
    tuner = tfx.components.Tuner(
        tuner_fn="trainer.tuner.tuner_fn",
        examples=example_gen.outputs["examples"],
        custom_config={**training, "trials": 2},
        **splits,
    )
    trainer = tfx.components.Trainer(
        run_fn="trainer.run_fn.run_fn",
        examples=example_gen.outputs["examples"],
        hyperparameters=tuner.outputs["best_hyperparameters"],
        custom_config=training,
        **splits,
    )
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger, level = logging.getLogger("crackgate"), logging.getLogger("crackgate").level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    bench = new_bench()
    try:
        bench.run(example_gen, tuner, trainer)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    best = Path(bench.output("Tuner", "best_hyperparameters").uri, "best_hyperparameters.txt")
    results = Path(bench.output("Tuner", "tuner_results").uri, "tuner_results.json")
    model, model_run = Path(bench.output("Trainer", "model").uri), Path(bench.output("Trainer", "model_run").uri)
    read = (json.loads(file.read_text(encoding="utf-8")) for file in (best, results, model_run / "history.json"))
    return Tuned(*read, messages, work_dir, model / "Format-Serving", model_run)


def test_the_best_of_two_different_trials_wins(tuned: Tuned) -> None:
    assert {row["trial_id"] for row in tuned.results} == {"0", "1"}
    assert set(tuned.best["values"]) == TUNED
    first, second = sorted(tuned.results, key=lambda row: row["trial_id"])
    # What was configured is tried first.
    assert {name: first[name] for name in TUNED} == {
        name: TrainOptions.model_validate(OPTIONS).model_dump()[name] for name in TUNED
    }
    assert first["score"] != second["score"]
    winner = min(tuned.results, key=lambda row: row["score"])
    assert tuned.best["values"] == {name: winner[name] for name in TUNED}


def test_the_trainer_trains_with_what_won(tuned: Tuned) -> None:
    score = min(row["score"] for row in tuned.results)
    kept = "fine_tune" if tuned.history["fine_tune_kept"] else "head"
    reached = min(tuned.history[kept]["val_loss"])
    # The trial's activations were cut lower, and rounded there.
    assert reached == pytest.approx(score, rel=5e-2)


def test_what_is_exported_computes_in_float32_on_one_device(tuned: Tuned) -> None:
    classifier = keras.models.load_model(tuned.model_run / "classifier.keras")
    (backbone,) = (layer for layer in classifier.layers if isinstance(layer, keras.Model) and layer.name != "head")
    assert {layer.compute_dtype for layer in (*backbone.layers, *classifier.layers)} == {"float32"}
    # As large as the photographs that it was trained on: others are out of scale.
    stored = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    encoded = [tf.io.encode_png(image).numpy() for image in stored]
    images = np.stack([decode_image(tf.constant(image), 32) for image in encoded])
    served = tf.saved_model.load(str(tuned.model)).signatures["predict_images"](image_bytes=tf.constant(encoded))
    card = json.loads((tuned.model / CARD_FILE).read_text(encoding="utf-8"))
    logits = classifier(images, training=False) / card["temperature"] + np.array(card["bias"], np.float32)
    np.testing.assert_allclose(served["scores"], tf.nn.softmax(logits), atol=1e-5)


def test_the_trials_share_the_passes_through_the_backbone(tuned: Tuned) -> None:
    passes = [message for message in tuned.messages if "through the backbone" in message]
    # One for the search and one for the training itself, whatever the batches.
    assert sum(message.startswith("train images") and _is_last(message) for message in passes) == 2


def test_says_which_trial_runs_and_what_came_of_it(tuned: Tuned) -> None:
    said = [message for message in tuned.messages if message.startswith("trial ")]
    assert len(said) == 4
    assert said[0].startswith("trial 1 of 2: head_learning_rate 0.01, dropout 0.25")
    assert said[3].startswith("trial 2 of 2: eval loss ")
    assert said[3].endswith("0 s left")


def test_nothing_but_the_views_is_left_in_the_work_folder(tuned: Tuned) -> None:
    assert {path.relative_to(tuned.work_dir).parts[0] for path in tuned.work_dir.rglob("*") if path.is_file()} == {
        "views"
    }


def test_the_depth_is_searched_only_where_there_is_fine_tuning() -> None:
    options = TrainOptions.model_validate({**OPTIONS, "fine_tune_epochs": 0})
    assert set(search_space(options).values) == {"head_learning_rate", "dropout"}


def _is_last(message: str) -> bool:
    done, total = message.rsplit(": ", 1)[1].split(" of ")
    return done == total
