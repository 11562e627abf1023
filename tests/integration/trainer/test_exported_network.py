"""The exported network is the trained one, whatever trained it: any kind of backbone, one device or two, any precision.

Each training runs in a process of its own, with two logical devices.
"""

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.stored_images import write_images

SIZE = 64
CLASSES = ["Negative", "Positive"]
OPTIONS: dict[str, Any] = {
    "image_size": SIZE,
    "batch_size": 8,
    "views": 2,
    "head_epochs": 3,
    "head_learning_rate": 0.01,
    "fine_tune_epochs": 2,
    "fine_tune_learning_rate": 1e-3,
    "fine_tune_share": 0.2,
    "target_recall": 0.5,
    "seed": 3,
}


def _train(folder: Path, options: dict[str, Any]) -> None:
    """Calls `run_fn` as TFX does, and writes down the eval logits with which it calibrates."""
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    import keras
    import tensorflow as tf
    from tfx.components.trainer.fn_args_utils import FnArgs

    from tests.helpers.disturbed_norms import with_disturbed_norms
    from trainer import run_fn as training

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    rng = np.random.default_rng(0)
    for split, count in (("train", 32), ("eval", 20)):
        labels = np.arange(count) % 2
        images = rng.uniform(120, 200, (count, 1, 1, 3)) + rng.normal(0, 10, (count, SIZE, SIZE, 3))
        images[labels == 1, 20:28] = 20
        write_images(folder / split, images.clip(0, 255).astype(np.uint8), labels)
    if (name := options["backbone"]) != "efficientnet-lite0":
        # Without statistics of their own, all images would look alike.
        keras.utils.set_random_seed(0)
        shape = (SIZE, SIZE, 3)
        model = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=shape)
        options["weights"] = str(folder / "own.weights.h5")
        with_disturbed_norms(model).save_weights(options["weights"])
    predict_eval = training.predict_eval

    def noted(*arguments: Any) -> tuple[np.ndarray, np.ndarray]:
        logits, labels = predict_eval(*arguments)
        np.savez(folder / "eval.npz", logits=logits, labels=labels)
        return logits, labels

    training.predict_eval = noted
    training.run_fn(
        FnArgs(
            train_files=[str(folder / "train")],
            eval_files=[str(folder / "eval")],
            serving_model_dir=str(folder / "model"),
            model_run_dir=str(folder / "run"),
            custom_config={"classes": CLASSES, "options": {**OPTIONS, **options}},
        )
    )


@pytest.mark.parametrize(
    ("backbone", "strategy", "mixed_precision"),
    [
        ("efficientnet-lite0", "mirrored", "bfloat16"),
        ("MobileNetV2", "one", "float16"),
        ("EfficientNetB0", "mirrored", "none"),
        ("EfficientNetB0", "one", "bfloat16"),
    ],
)
def test_scores_are_those_of_the_trained_network(
    backbone: str, strategy: str, mixed_precision: str, tmp_path: Path
) -> None:
    options = {"backbone": backbone, "strategy": strategy, "mixed_precision": mixed_precision}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tensorflow", "keras", "trainer.run_fn"])
    process = context.Process(target=_train, args=(tmp_path, options), daemon=True)
    process.start()
    process.join(timeout=400)
    exit_code = process.exitcode
    process.kill()
    assert exit_code == 0, (tmp_path / "output").read_text()

    import keras
    import tensorflow as tf

    from crackgate.contracts.model_files import CARD_FILE
    from crackgate.model.calibration import Calibration
    from trainer.input_pipeline import read_examples, read_images

    files = [str(tmp_path / "eval")]
    images = np.concatenate([batch.numpy() for batch, _ in read_images(files, SIZE, 32)])
    card = json.loads((tmp_path / "model" / CARD_FILE).read_text(encoding="utf-8"))
    calibration = Calibration(card["temperature"], card["bias"])
    logits = keras.models.load_model(tmp_path / "run" / "classifier.keras").predict(images, verbose=0)
    with np.load(tmp_path / "eval.npz") as noted:
        trained, labels = noted["logits"], noted["labels"]
    history = json.loads((tmp_path / "run" / "history.json").read_text(encoding="utf-8"))
    # What is compared was trained, and tells images apart.
    assert history["fine_tune_kept"] and np.ptp(trained[:, 0]) > 0.1
    assert ((trained[:, 1] > trained[:, 0]) == (labels == 1)).mean() > 0.6
    # Its activations were stored in 16 bits.
    np.testing.assert_allclose(logits, trained, atol=0.02 * np.ptp(trained))
    exported = tf.saved_model.load(str(tmp_path / "model"))
    serialized = tf.constant(list(read_examples(files).as_numpy_iterator()))
    scores = exported.signatures["serving_default"](examples=serialized)["scores"]
    np.testing.assert_allclose(scores, calibration.scores(logits), atol=1e-5)
