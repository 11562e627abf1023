"""The entry point that the TFX Trainer calls."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from trainer.augmentation import augmentation
from trainer.backbones import build_backbone, split_at_top
from trainer.calibration import fit_calibration
from trainer.checkpoints import checkpoint_folder, training_digest
from trainer.decision import check_decidable, fit_decision
from trainer.input_pipeline import count_images, read_images
from trainer.options import TrainOptions
from trainer.positive_class import resolve_positive_class
from trainer.reference import write_reference
from trainer.reports import write_classification_report, write_curves, write_history, write_reliability
from trainer.serving import export_classifier
from trainer.strategy import build_strategy, is_chief, precision
from trainer.training_digests import write_training_digests
from trainer.transfer import assemble, build_head, train_stages
from trainer.views import Views, compute_views

log = logging.getLogger("crackgate")

KERAS_FILE = "classifier.keras"


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports a classifier.

    1. Every image, and augmented views of it, goes once through the frozen backbone.
    2. The head is trained on the features, then the top blocks on the stored activations.
    3. On eval, the scores are calibrated and the decision threshold is chosen.
    4. The classifier is exported with its serving signatures, beside its Keras file, curves and reports.

    Args:
        fn_args: TFX's arguments. `custom_config` holds `classes` (names in label order), `options` (the fields of
            `TrainOptions`) and, for trainings that can be killed and go on, `work_dir`. `hyperparameters`, from a
            Tuner, go before the options.
    """
    options = TrainOptions.model_validate({**fn_args.custom_config["options"], **_tuned(fn_args)})
    # Several workers find each other before TensorFlow does anything else.
    strategy = build_strategy(options)
    with _checkpoints(fn_args, strategy) as checkpoints:
        _train(fn_args, options, strategy, checkpoints)


def _train(fn_args: FnArgs, options: TrainOptions, strategy: tf.distribute.Strategy, checkpoints: Path | None) -> None:
    classes: list[str] = fn_args.custom_config["classes"]
    positive_class = resolve_positive_class(options.positive_class, classes)
    positive = None if positive_class is None else classes.index(positive_class)
    run_dir = Path(fn_args.model_run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(options.seed)

    with strategy.scope(), precision(options.mixed_precision):
        backbone = build_backbone(options.backbone, options.image_size, options.weights)
        lower, upper = split_at_top(backbone, options.fine_tune_share)
        head = build_head(backbone.output_shape[-1], len(classes), options)
        with tempfile.TemporaryDirectory(dir=run_dir, prefix="activations-") as folder:
            train, validation = split_views(fn_args, options, lower, upper, Path(folder))
            if positive is not None:
                check_decidable(validation.labels, positive, classes)
            stages = train_stages(upper, head, train, validation, options, run_dir, checkpoints)
    if not is_chief(strategy):
        return
    if options.strategy != "one" or options.mixed_precision != "none":
        backbone, head = _plain_copies(backbone, head, options)

    classifier = assemble(backbone, head)
    validation_images = read_images(fn_args.eval_files, options.image_size, options.batch_size)
    # Batch by batch: `predict` warns that a dataset whose length it does not know has ended.
    logits = np.concatenate([classifier.predict_on_batch(images) for images, _ in validation_images])
    calibration = fit_calibration(logits, validation.labels)
    decision = fit_decision(calibration.scores(logits), validation.labels, positive, options.target_recall)
    log.info("exporting the classifier")
    export_classifier(classifier, classes, options.image_size, Path(fn_args.serving_model_dir), calibration, decision)
    write_training_digests([*fn_args.train_files, *fn_args.eval_files], Path(fn_args.serving_model_dir))
    classifier.save(run_dir / KERAS_FILE)
    write_reference(classifier, calibration, options.image_size, fn_args.eval_files, run_dir)
    write_curves(stages, run_dir)
    write_history(stages, run_dir)
    write_classification_report(validation.labels, logits, classes, calibration, decision, options, run_dir)
    write_reliability(validation.labels, logits, classes, calibration, decision, run_dir)


def split_views(
    fn_args: FnArgs, options: TrainOptions, lower: keras.Model, upper: keras.Model, folder: Path
) -> tuple[Views, Views]:
    """Views of train and of eval, with activations in files in `folder` if there is to be fine-tuning."""
    keep = options.fine_tune_epochs > 0
    train = compute_views(
        "train",
        read_images(fn_args.train_files, options.image_size, options.batch_size),
        count_images(fn_args.train_files),
        lower,
        upper,
        augmentation(options.seed),
        options.views,
        folder / "train" if keep else None,
    )
    validation = compute_views(
        "eval",
        read_images(fn_args.eval_files, options.image_size, options.batch_size),
        count_images(fn_args.eval_files),
        lower,
        upper,
        None,
        1,
        folder / "eval" if keep else None,
    )
    return train, validation


def _tuned(fn_args: FnArgs) -> dict[str, Any]:
    """What the Tuner found."""
    return fn_args.hyperparameters["values"] if fn_args.hyperparameters else {}


@contextmanager
def _checkpoints(fn_args: FnArgs, strategy: tf.distribute.Strategy) -> Iterator[Path | None]:
    """This training's folder below the work folder, if there is one; of several workers, the first one owns it."""
    if (work_dir := fn_args.custom_config.get("work_dir")) is None:
        yield None
        return
    digest = training_digest(fn_args.custom_config, fn_args.hyperparameters, fn_args.train_files + fn_args.eval_files)
    with checkpoint_folder(Path(work_dir) / "checkpoints", digest, is_chief(strategy)) as folder:
        yield folder


def _plain_copies(backbone: keras.Model, head: keras.Model, options: TrainOptions) -> tuple[keras.Model, keras.Model]:
    """The same models on one device and in float32, as they are served."""
    plain_backbone = build_backbone(options.backbone, options.image_size, "none")
    plain_head = build_head(backbone.output_shape[-1], head.output_shape[-1], options)
    plain_backbone.set_weights(backbone.get_weights())
    plain_head.set_weights(head.get_weights())
    return plain_backbone, plain_head
