"""One of several processes that train a model together, outside a pipeline: `crackgate train-worker`."""

import shutil
import tempfile
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from crackgate.atomic_files import whole_folder
from crackgate.config.configuration import Config, ConfigError
from crackgate.config.train import TrainOptions
from crackgate.contracts.stored_example import CLASS_LABEL, CLASS_TEXT, EVAL_SPLIT, TRAIN_SPLIT
from crackgate.own_code import OwnCodeError, digest_own

# Enough to notice classes in another order; a whole split may be terabytes.
_CHECKED_IMAGES = 100


def train_worker(examples: Path, output: Path, config: Config) -> bool:
    """Trains with the other workers that TF_CONFIG names; returns whether this worker wrote the model.

    The first worker keeps checkpoints and views in `<output>.work`, from which a killed training resumes. It removes
    them at the end.

    Args:
        examples: Output of an ImageExampleGen, with `Split-train` and `Split-eval`; the same for all workers.
        output: New folder on storage of all workers; receives `Format-Serving` (the SavedModel) and `model_run`.
        config: `data.classes` names the classes in label order; `[train]` holds the options.

    Raises:
        ConfigError: TF_CONFIG, `data.classes`, `examples` or a model of the user's own cannot be used.
    """
    classes = tuple(config.data.classes)
    if not classes:
        raise ConfigError(
            "data.classes: received nothing, and there is no image folder here to find them in: give them in the order "
            "of their labels, which is alphabetical unless the pipeline's data.classes had another"
        )
    for split in (TRAIN_SPLIT, EVAL_SPLIT):
        _check_labels(examples / f"Split-{split}", classes)
    try:
        own_code = digest_own(config.train.own_functions())
        return _train(examples, output, config, own_code)
    except OwnCodeError as error:
        raise ConfigError(str(error)) from error


def _train(examples: Path, output: Path, config: Config, own_code: list[str]) -> bool:
    # After the checks: TFX takes many seconds to import.
    from tfx.components.trainer.fn_args_utils import FnArgs

    from trainer.run_fn import run_fn
    from trainer.strategy import check_tf_config

    try:
        check_tf_config()
    except ValueError as error:
        raise ConfigError(str(error)) from error
    options = TrainOptions.model_validate({**config.train.model_dump(), "strategy": "multi_worker"})
    work = output.with_name(f"{output.name}.work")
    with tempfile.TemporaryDirectory() as folder:
        serving, reports = Path(folder, "Format-Serving"), Path(folder, "model_run")
        run_fn(
            FnArgs(
                train_files=[str(examples / f"Split-{TRAIN_SPLIT}" / "*")],
                eval_files=[str(examples / f"Split-{EVAL_SPLIT}" / "*")],
                serving_model_dir=str(serving),
                model_run_dir=str(reports),
                custom_config={
                    "classes": list(config.data.classes),
                    "options": options.model_dump(),
                    "own_code": own_code,
                    "work_dir": str(work),
                },
            )
        )
        # Only the first worker exports.
        if not serving.exists():
            return False
        with whole_folder(output) as partial:
            shutil.copytree(folder, partial, dirs_exist_ok=True)
    # The model is whole: what a file system does not let go of is no reason to fail.
    shutil.rmtree(work, ignore_errors=True)
    return True


def _check_labels(split: Path, classes: tuple[str, ...]) -> None:
    """Compares the first images' labels with the configured order of the classes."""
    seen = set(islice(_labels(split), _CHECKED_IMAGES))
    if not seen:
        raise ConfigError(f"--examples: no images in {str(split)!r}: give a folder that ImageExampleGen wrote")
    for label, name in sorted(seen):
        if label >= len(classes) or classes[label] != name:
            raise ConfigError(
                f"data.classes: received {', '.join(map(repr, classes))}, but {name!r} has the label {label} "
                f"in {str(split)!r}: give the order that they were stored with"
            )


def _labels(split: Path) -> Iterator[tuple[int, str]]:
    """Label and class name of each stored image."""
    # Without an operation on TensorFlow's devices: after one, workers cannot find each other.
    import tensorflow as tf

    gzip = tf.io.TFRecordOptions(compression_type="GZIP")
    files = sorted(split.glob("*"))
    for record in chain.from_iterable(tf.compat.v1.io.tf_record_iterator(str(file), gzip) for file in files):
        stored = tf.train.Example.FromString(record).features.feature
        yield stored[CLASS_LABEL].int64_list.value[0], stored[CLASS_TEXT].bytes_list.value[0].decode()
