"""A TFX pipeline without our components: it imports examples, tunes with `trainer.tuner` and trains with `run_fn`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tensorflow as tf
from tfx import v1 as tfx

from crackgate.contracts.model_files import CARD_FILE
from tests.helpers.own_models import write_own_models

if TYPE_CHECKING:
    from conftest import Bench

CLASSES = ["Negative", "Positive"]


def test_tunes_and_trains_on_imported_examples(
    new_bench: Callable[[], "Bench"], photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = tmp_path / "stored"
    stored.mkdir()
    write_own_models(tmp_path, "own_imported")
    monkeypatch.chdir(tmp_path)
    with tf.io.TFRecordWriter(str(stored / "images.tfrecord")) as writer:
        for label, name in enumerate(CLASSES):
            for file in sorted((photographs / name).iterdir()):
                example = tf.train.Example()
                example.features.feature["image/encoded"].bytes_list.value.append(file.read_bytes())
                example.features.feature["image/class/label"].int64_list.value.append(label)
                writer.write(example.SerializeToString())
    example_gen = tfx.components.ImportExampleGen(input_base=str(stored))
    statistics_gen = tfx.components.StatisticsGen(examples=example_gen.outputs["examples"])
    schema_gen = tfx.components.SchemaGen(statistics=statistics_gen.outputs["statistics"])
    options = {"image_size": 32, "views": 1, "head_epochs": 2, "fine_tune_epochs": 0}
    config = {"classes": CLASSES, "options": {**options, "backbone": "own_imported:build"}}
    tuner = tfx.components.Tuner(
        tuner_fn="trainer.tuner.tuner_fn",
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        train_args=tfx.proto.TrainArgs(),
        eval_args=tfx.proto.EvalArgs(),
        custom_config={**config, "trials": 1},
    )
    trainer = tfx.components.Trainer(
        run_fn="trainer.run_fn.run_fn",
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        train_args=tfx.proto.TrainArgs(num_steps=5),
        eval_args=tfx.proto.EvalArgs(),
        hyperparameters=tuner.outputs["best_hyperparameters"],
        custom_config=config,
    )
    bench = new_bench()
    bench.run(example_gen, statistics_gen, schema_gen, tuner, trainer)
    model = Path(bench.output("Trainer", "model").uri) / "Format-Serving"
    assert json.loads((model / CARD_FILE).read_text(encoding="utf-8"))["classes"] == CLASSES
    served = tf.saved_model.load(str(model)).signatures["predict_images"]
    images = tf.constant([file.read_bytes() for file in sorted((photographs / "Positive").iterdir())])
    assert served(image_bytes=images)["scores"].shape == (20, 2)
