"""The entry point that the TFX Trainer calls."""

import logging
import tempfile
from pathlib import Path

import keras
from tfx.components.trainer.fn_args_utils import FnArgs

from trainer.backbones import build_backbone, split_at_top
from trainer.options import TrainOptions
from trainer.reports import write_classification_report, write_curves, write_history
from trainer.serving import export_classifier
from trainer.stored_views import StoredViews
from trainer.transfer import assemble, build_head, predict_logits, train_stages
from trainer.views_cache import ViewsCache

log = logging.getLogger("crackgate")

KERAS_FILE = "classifier.keras"


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports a classifier.

    1. Every image, and augmented views of it, goes once through the frozen backbone, unless an earlier training left
       the outcome.
    2. The head is trained on the features, then the top blocks on the stored activations.
    3. The classifier is exported with its serving signatures, beside its Keras file, curves and reports.

    Args:
        fn_args: TFX's arguments. `custom_config` holds `classes` (names in label order), `options` (the fields of
            `TrainOptions`) and `views_dir`, the folder where the backbone's outputs stay for the next training; without
            it they are removed.
    """
    classes: list[str] = fn_args.custom_config["classes"]
    options = TrainOptions.model_validate(fn_args.custom_config["options"])
    run_dir = Path(fn_args.model_run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(options.seed)

    backbone = build_backbone(options.backbone, options.image_size, options.weights)
    lower, upper = split_at_top(backbone, options.fine_tune_share)
    head = build_head(backbone.output_shape[-1], len(classes), options)
    with tempfile.TemporaryDirectory(dir=run_dir, prefix="views-") as temporary:
        cache = ViewsCache(Path(fn_args.custom_config.get("views_dir") or temporary))
        stored = StoredViews(lower, upper, options, cache)
        train = stored.get("train", fn_args.train_files, options.views)
        validation = stored.get("eval", fn_args.eval_files, 1)
        cache.prune()
        stages = train_stages(upper, head, train, validation, options, run_dir)
        logits = predict_logits(upper, head, validation, stages)

    classifier = assemble(backbone, head)
    log.info("exporting the classifier")
    export_classifier(classifier, classes, options.image_size, Path(fn_args.serving_model_dir))
    classifier.save(run_dir / KERAS_FILE)
    write_curves(stages, run_dir)
    write_history(stages, run_dir)
    write_classification_report(validation.labels, logits, classes, run_dir)
