"""The exported network is the trained one, whatever trained it: any backbone, one device or two, any precision."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from crackgate.contracts import stored_example
from crackgate.contracts.model_files import CARD_FILE, REFERENCE_FILE
from crackgate.model.calibration import Calibration
from tests.helpers.noted_training import start
from trainer.input_pipeline import read_examples, read_images

SIZE = 64
OPTIONS: dict[str, Any] = {
    "image_size": SIZE,
    "batch_size": 8,
    "views": 2,
    "head_epochs": 3,
    "head_learning_rate": 0.01,
    "fine_tune_epochs": 2,
    "fine_tune_learning_rate": 5e-5,
    "fine_tune_share": 0.2,
    "target_recall": 0.5,
    "seed": 3,
}


@pytest.mark.parametrize(
    ("backbone", "strategy", "mixed_precision"),
    [
        ("efficientnet-lite0", "mirrored", "bfloat16"),
        ("MobileNetV2", "one", "float16"),
        ("EfficientNetB0", "mirrored", "none"),
    ],
)
def test_scores_are_those_of_the_trained_network(
    backbone: str, strategy: str, mixed_precision: str, tmp_path: Path
) -> None:
    chosen = {"backbone": backbone, "strategy": strategy, "mixed_precision": mixed_precision}
    process = start(tmp_path, {**OPTIONS, **chosen})
    process.join(timeout=400)
    exit_code = process.exitcode
    process.kill()
    assert exit_code == 0, (tmp_path / "output").read_text()

    with np.load(tmp_path / "eval.npz") as noted:
        trained, labels = noted["logits"], noted["labels"]
    history = json.loads((tmp_path / "run" / "history.json").read_text(encoding="utf-8"))
    # Both stages count, and images are told apart.
    assert history["fine_tune_kept"] and np.ptp(trained[:, 0]) > 0.1
    batches = list(read_images([str(tmp_path / "eval")], SIZE, 32))
    np.testing.assert_array_equal(labels, np.concatenate([batch_labels for _, batch_labels in batches]))
    images = np.concatenate([batch for batch, _ in batches])
    logits = keras.models.load_model(tmp_path / "run" / "classifier.keras").predict(images, verbose=0)
    # Its activations were stored in 16 bits.
    np.testing.assert_allclose(logits, trained, rtol=0, atol=0.02 * np.ptp(trained))
    card = json.loads((tmp_path / "model" / CARD_FILE).read_text(encoding="utf-8"))
    examples = tf.constant(list(read_examples([str(tmp_path / "eval")]).as_numpy_iterator()))
    exported = tf.saved_model.load(str(tmp_path / "model"))
    scores = exported.signatures["serving_default"](examples=examples)["scores"]
    expected = Calibration(card["temperature"], card["bias"]).scores(logits)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert card["familiarity"]["eval_images"] == len(labels)
    reference = list(read_examples([str(tmp_path / "run" / REFERENCE_FILE)]).as_numpy_iterator())
    recorded = [
        tf.train.Example.FromString(record).features.feature[stored_example.REFERENCE_UNFAMILIARITY].float_list.value[0]
        for record in reference
    ]
    found = exported.signatures["serving_default"](examples=tf.constant(reference))["unfamiliarity"]
    np.testing.assert_allclose(found, recorded, rtol=1e-3)
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    answer = exported.signatures["predict_images"](image_bytes=tf.constant([tf.io.encode_png(noise).numpy()]))
    assert np.median(found) <= 1
    # To random weights, noise looks like anything else.
    assert answer["unfamiliarity"][0] > 1 or backbone != "efficientnet-lite0"
