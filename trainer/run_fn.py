"""The entry point that the TFX Trainer calls."""

import logging
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf
from tfx.components.trainer.fn_args_utils import FnArgs

from crackgate.config.train import TrainOptions
from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.log_record import LASTING
from crackgate.contracts.training_files import KERAS_FILE
from crackgate.model.calibration import fit_calibration
from crackgate.model.decision import Decision
from crackgate.model.positive_classes import resolve_positive_classes
from crackgate.model.threshold import check_decidable, choose_threshold, describe_threshold
from trainer.cpu_seconds import CpuSeconds
from trainer.export.augmentation_sheet import write_augmentation
from trainer.export.doubtful_labels import write_doubtful_labels
from trainer.export.familiarity import learn_familiarity
from trainer.export.image_paths import read_paths
from trainer.export.image_scale import measure_scale
from trainer.export.reference import write_reference
from trainer.export.signatures import export_classifier
from trainer.export.stored_network import write_stored_network
from trainer.export.training_digests import write_training_digests
from trainer.export.training_report import write_classification_report, write_curves, write_history, write_reliability
from trainer.export.warmup import write_warmup_requests
from trainer.features.training_views import training_views
from trainer.fit.checkpoints import checkpoint_folder, training_digest
from trainer.fit.stages import predict_eval, train_stages
from trainer.input_pipeline import read_labels
from trainer.keras_settings import set_keras_up
from trainer.network.backbones import build_backbone, split_at_top
from trainer.network.classifier import assemble, build_head
from trainer.strategy import build_strategy, is_chief
from trainer.trainer_arguments import check_arguments, local_outputs, readable_examples

log = logging.getLogger("crackgate")


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports a classifier.

    1. The views of the images go once through the frozen backbone, unless an earlier training left them.
    2. The head is trained on the features, then the top blocks on the stored activations.
    3. On eval, the scores are calibrated and the decision threshold is chosen.
    4. The training images are described, so that the classifier notices others.
    5. The classifier is exported with its serving signatures, beside its Keras file, curves, reports and the images
       whose labels to check.

    Any TFX pipeline can use it. Its examples need "image/encoded", an image file, and "image/class/label", the place of
    its class in `classes`. Gzipped TFRecords are read directly, other formats through `fn_args.data_accessor`.
    `custom_config` needs `classes`, the names in label order. It may hold `options` (the fields of `TrainOptions`),
    `limits` (the fields of `ImageLimits`, as ingest has them), and `work_dir`, a local folder that keeps checkpoints
    and views for the next training. A Tuner's `hyperparameters` override the options. Models and reports may be remote.

    Raises:
        ValueError: Configuration, schema or examples cannot be trained with, or a loss is no longer finite.
    """
    set_keras_up()
    check_arguments(fn_args)
    tuned = fn_args.hyperparameters["values"] if fn_args.hyperparameters else {}
    options = TrainOptions.model_validate({**fn_args.custom_config.get("options", {}), **tuned})
    # Workers must find each other before TensorFlow's first operation.
    strategy = build_strategy(options)
    with (
        readable_examples(fn_args) as readable,
        local_outputs(readable) as local,
        _checkpoints(local, strategy) as checkpoints,
    ):
        _train(local, options, strategy, checkpoints)


def _train(fn_args: FnArgs, options: TrainOptions, strategy: tf.distribute.Strategy, checkpoints: Path | None) -> None:
    seconds = CpuSeconds()
    classes: list[str] = fn_args.custom_config["classes"]
    positives = tuple(map(classes.index, resolve_positive_classes(options.positive_classes, classes).names))
    run_dir = Path(fn_args.model_run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    log.info("to watch the training: tensorboard --logdir %s", shlex.quote(str(run_dir)), extra=LASTING)
    keras.utils.set_random_seed(options.seed)
    if positives:
        check_decidable(read_labels(fn_args.eval_files), positives, classes)

    with _views_folder(fn_args, options, strategy) as folder:
        # On one device and in float32, as served; the strategy's devices train copies.
        backbone = build_backbone(options.backbone, options.image_size, options.weights)
        lower, upper = split_at_top(backbone, options.fine_tune_share)
        head = build_head(backbone.output_shape[-1], len(classes), options)
        seconds.end("network")
        with strategy.scope():
            views = training_views(lower, upper, options, fn_args.train_files, fn_args.eval_files, folder)
            seconds.end("views")
            stages = train_stages(upper, head, views, options, run_dir, checkpoints, seconds)
        if not is_chief(strategy):
            return
        logits, labels = predict_eval(upper, head, views, stages)
        log.info("looking for doubtful labels")
        write_doubtful_labels(views, fn_args.train_files, fn_args.eval_files, classes, run_dir)

    classifier = assemble(backbone, head)
    calibration = fit_calibration(logits, labels)
    scores, limits = calibration.scores(logits), (options.target_recall, options.least_precision)
    decision, findings = None, None
    if positives:
        decision = Decision(positives, choose_threshold(scores, labels, positives, *limits))
        findings = describe_threshold(decision, scores, labels, classes, read_paths(fn_args.eval_files), *limits)
        log.info("%s", " ".join(findings.sentences()))
    seconds.end("reports")
    log.info("describing the training images")
    familiarity = learn_familiarity(backbone, options, fn_args.train_files, fn_args.eval_files)
    seconds.end("familiarity")
    log.info("exporting the classifier")
    model_dir = Path(fn_args.serving_model_dir)
    scale = measure_scale(fn_args.train_files)
    bounds = ImageLimits(**fn_args.custom_config.get("limits", {}))
    served = export_classifier(
        classifier,
        classes,
        options.image_size,
        model_dir,
        calibration,
        decision,
        bounds,
        scale,
        backbone,
        head,
        familiarity,
    )
    write_warmup_requests(options.image_size, scale, fn_args.eval_files, model_dir)
    write_stored_network(served, options.image_size, fn_args.eval_files, model_dir)
    write_training_digests([*fn_args.train_files, *fn_args.eval_files], model_dir)
    classifier.save(run_dir / KERAS_FILE)
    write_reference(classifier, calibration, options.image_size, fn_args.eval_files, run_dir, backbone, familiarity)
    seconds.end("export")
    write_augmentation(options, classes, fn_args.train_files, run_dir)
    seconds.end("augmentation sheet")
    write_curves(stages, options, run_dir)
    write_history(stages, run_dir)
    write_classification_report(labels, logits, classes, calibration, decision, findings, run_dir)
    write_reliability(labels, logits, classes, calibration, decision, run_dir)
    seconds.end("reports")
    seconds.write(run_dir)


@contextmanager
def _views_folder(fn_args: FnArgs, options: TrainOptions, strategy: tf.distribute.Strategy) -> Iterator[Path]:
    """A folder below the work folder for the first worker, if views are to stay; else a temporary one."""
    work_dir = fn_args.custom_config.get("work_dir")
    if work_dir is not None and options.reuse_views and is_chief(strategy):
        yield Path(work_dir) / "views"
        return
    with tempfile.TemporaryDirectory(dir=fn_args.model_run_dir, prefix="views-") as folder:
        yield Path(folder)


@contextmanager
def _checkpoints(fn_args: FnArgs, strategy: tf.distribute.Strategy) -> Iterator[Path | None]:
    """This training's folder below the work folder, if there is one; the first worker owns it."""
    if (work_dir := fn_args.custom_config.get("work_dir")) is None:
        yield None
        return
    digest = training_digest(fn_args.custom_config, fn_args.hyperparameters, fn_args.train_files + fn_args.eval_files)
    with checkpoint_folder(Path(work_dir) / "checkpoints", digest, is_chief(strategy)) as folder:
        yield folder
