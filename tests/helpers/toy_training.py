"""A small training for a process of its own: what can be killed, or runs on several devices or workers.

`start` forks from a server that has TensorFlow loaded, so that a process costs no ten seconds.
"""

import json
import multiprocessing
import os
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from crackgate.config.train import TrainOptions

OPTIONS = TrainOptions(
    image_size=32,
    batch_size=16,
    views=2,
    dropout=0.3,
    head_epochs=8,
    head_learning_rate=0.02,
    fine_tune_epochs=6,
    fine_tune_learning_rate=0.01,
    fine_tune_share=0.4,
    patience=8,
    seed=5,
)


def options(**changes: Any) -> TrainOptions:
    return TrainOptions.model_validate({**OPTIONS.model_dump(), **changes})


@dataclass(frozen=True)
class Result:
    """What a training left in its folder."""

    weights: list[np.ndarray]
    history: dict[str, Any]


def start(folder: Path, options: TrainOptions, devices: int = 1, tf_config: str = "") -> BaseProcess:
    """Trains in a process of its own; the result and, until then, the checkpoints lie in `folder`.

    Args:
        folder: Exists.
        options: Of the training.
        devices: Logical CPU devices.
        tf_config: TF_CONFIG of a worker.
    """
    # Workers' connections do not survive a fork.
    context = multiprocessing.get_context("spawn" if tf_config else "forkserver")
    context.set_forkserver_preload(["tensorflow", "keras", "trainer.fit.stages"])
    process = context.Process(target=_train, args=(folder, options, devices, tf_config), daemon=True)
    process.start()
    return process


def finish(process: BaseProcess, folder: Path) -> Result:
    process.join(timeout=120)
    exit_code = process.exitcode
    process.kill()
    assert exit_code == 0, (exit_code, (folder / "output").read_text())
    with np.load(folder / "weights.npz") as stored:
        weights = [stored[name] for name in stored]
    return Result(weights, json.loads((folder / "history.json").read_text()))


def _train(folder: Path, options: TrainOptions, devices: int, tf_config: str) -> None:
    # To a file: what a process writes while it is killed is nobody's business.
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if tf_config:
        os.environ["TF_CONFIG"] = tf_config
    import keras
    import tensorflow as tf

    from trainer.export.training_report import write_history
    from trainer.features.views import TrainingViews
    from trainer.fit.stages import train_stages
    from trainer.network.backbones import split_at_top
    from trainer.network.classifier import build_head
    from trainer.network.folded_backbone import fold_batch_norm
    from trainer.strategy import build_strategy, is_chief

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    strategy = build_strategy(options)
    keras.utils.set_random_seed(options.seed)
    backbone = fold_batch_norm(_backbone())
    lower, upper = split_at_top(backbone, options.fine_tune_share)
    head = build_head(backbone.output_shape[-1], 2, options)
    with strategy.scope():
        train, validation = (
            _views(folder, split, count, seed, lower, upper, options)
            for split, count, seed in (("train", 52, 1), ("eval", 24, 2))
        )
        # The folder of checkpoints may be shared, other folders are each worker's own.
        checkpoints = folder.parent / "checkpoints" if tf_config else folder / "checkpoints"
        stages = train_stages(upper, head, TrainingViews(train, validation), options, folder, checkpoints)
    np.savez(folder / "weights.npz", *backbone.get_weights(), *head.get_weights())
    write_history(stages, folder)
    (folder / "chief").write_text(str(is_chief(strategy)))


def _backbone() -> Any:
    import keras

    images = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    for index in range(3):
        x = keras.layers.Conv2D(6, 3, 2, padding="same", use_bias=False, name=f"conv_{index}")(x)
        x = keras.layers.BatchNormalization(name=f"bn_{index}")(x)
        x = keras.layers.ReLU(name=f"relu_{index}")(x)
    return keras.Model(images, x, name="toy")


def _views(folder: Path, split: str, count: int, seed: int, lower: Any, upper: Any, options: TrainOptions) -> Any:
    import tensorflow as tf

    from trainer.augmentation.geometry import RandomGeometry
    from trainer.features.backbone_engine import build_engine
    from trainer.features.views import compute_views

    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = np.clip(rng.normal(160, 20, (count, 32, 32, 3)), 0, 255).astype(np.float32)
    for number in np.flatnonzero(labels):
        images[number, rng.integers(2, 26) :][:2] = 60
    views = options.views if split == "train" else 1
    augment = RandomGeometry(zoom_in=0.2, zoom_out=0.1, seed=options.seed) if views > 1 else None
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)
    engine = build_engine(lower, upper)
    return compute_views(split, batches, count, lambda: engine, augment, views, folder / split)
