"""The entry point that the TFX Trainer calls."""

import logging
import tempfile
from pathlib import Path

import keras
import numpy as np
from tfx.components.trainer.fn_args_utils import FnArgs

from trainer.augmentation import augmentation
from trainer.backbones import build_backbone, split_at_top
from trainer.input_pipeline import count_images, read_images
from trainer.options import TrainOptions
from trainer.reports import write_classification_report, write_curves, write_history
from trainer.serving import export_classifier
from trainer.transfer import assemble, build_head, train_stages
from trainer.views import compute_views

log = logging.getLogger("crackgate")

KERAS_FILE = "classifier.keras"


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports a classifier.

    1. Every image, and augmented views of it, goes once through the frozen backbone.
    2. The head is trained on the features, then the top blocks on the stored activations.
    3. The classifier is exported with its serving signatures, beside its Keras file, curves and reports.

    Args:
        fn_args: TFX's arguments. `custom_config` holds `classes` (names in label order) and `options` (the fields of
            `TrainOptions`).
    """
    classes: list[str] = fn_args.custom_config["classes"]
    options = TrainOptions.model_validate(fn_args.custom_config["options"])
    run_dir = Path(fn_args.model_run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(options.seed)

    backbone = build_backbone(options.backbone, options.image_size, options.weights)
    lower, upper = split_at_top(backbone, options.fine_tune_share)
    head = build_head(backbone.output_shape[-1], len(classes), options)
    validation_images = read_images(fn_args.eval_files, options.image_size, options.batch_size)
    with tempfile.TemporaryDirectory(dir=run_dir, prefix="activations-") as folder:
        keep = options.fine_tune_epochs > 0
        train = compute_views(
            "train",
            read_images(fn_args.train_files, options.image_size, options.batch_size),
            count_images(fn_args.train_files),
            lower,
            upper,
            augmentation(options.seed, options.other_surfaces),
            options.views,
            Path(folder, "train") if keep else None,
        )
        validation = compute_views(
            "eval",
            validation_images,
            count_images(fn_args.eval_files),
            lower,
            upper,
            None,
            1,
            Path(folder, "eval") if keep else None,
        )
        stages = train_stages(upper, head, train, validation, options, run_dir)

    classifier = assemble(backbone, head)
    log.info("exporting the classifier")
    export_classifier(classifier, classes, options.image_size, Path(fn_args.serving_model_dir))
    classifier.save(run_dir / KERAS_FILE)
    write_curves(stages, run_dir)
    write_history(stages, run_dir)
    # Batch by batch: `predict` warns that a dataset whose length it does not know has ended.
    logits = np.concatenate([classifier.predict_on_batch(images) for images, _ in validation_images])
    write_classification_report(validation.labels, logits, classes, run_dir)
