"""A training by `run_fn` in a process of its own with two logical devices; its eval logits are written down."""

import multiprocessing
import os
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.stored_images import write_images

CLASSES = ["Negative", "Positive"]


def start(folder: Path, options: dict[str, Any]) -> BaseProcess:
    """Trains on 32 images; `folder` receives `eval`, `model`, `run`, `output`, and `eval.npz` from `predict_eval`.

    A backbone of Keras gets weights that have seen the images: with others all images would look alike.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tensorflow", "keras", "trainer.run_fn"])
    process = context.Process(target=_train, args=(folder, options), daemon=True)
    process.start()
    return process


def _train(folder: Path, options: dict[str, Any]) -> None:
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    import tensorflow as tf
    from tfx.components.trainer.fn_args_utils import FnArgs

    from trainer import run_fn as training

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    rng, size = np.random.default_rng(0), options["image_size"]
    for split, count in (("eval", 20), ("train", 32)):
        labels = np.arange(count) % 2
        images = rng.uniform(120, 200, (count, 1, 1, 3)) + rng.normal(0, 10, (count, size, size, 3))
        images[labels == 1, size // 3 : size // 2] = 20
        images = images.clip(0, 255).astype(np.uint8)
        write_images(folder / split, images, labels)
    if options["backbone"] != "efficientnet-lite0":
        options = {**options, "weights": str(folder / "own.weights.h5")}
        _write_weights(options["backbone"], images.astype(np.float32), options["weights"])
    predict_eval = training.predict_eval

    def noted(*arguments: Any) -> tuple[np.ndarray, np.ndarray]:
        logits, labels = predict_eval(*arguments)
        np.savez(folder / "eval.npz", logits=logits, labels=labels)
        return logits, labels

    training.predict_eval = noted  # type: ignore[assignment]
    training.run_fn(
        FnArgs(
            train_files=[str(folder / "train")],
            eval_files=[str(folder / "eval")],
            serving_model_dir=str(folder / "model"),
            model_run_dir=str(folder / "run"),
            custom_config={"classes": CLASSES, "options": options},
        )
    )


def _write_weights(backbone: str, images: np.ndarray, file: str) -> None:
    """Random weights, and in BatchNorm the statistics of the images."""
    import keras

    keras.utils.set_random_seed(0)
    shape = images.shape[1:]
    model = getattr(keras.applications, backbone)(include_top=False, weights=None, input_shape=shape)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)
    model.save_weights(file)
