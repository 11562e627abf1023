"""Arguments that a TFX Trainer or Tuner gives: checked, with examples that can be read and folders that are local."""

import copy
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.utils import io_utils
from tfx_bsl.tfxio import dataset_options

from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.stored_example import CLASS_LABEL, ENCODED
from crackgate.storage.location import looks_like_url

log = logging.getLogger("crackgate")

_NEEDED = {ENCODED: "the bytes of one image file", CLASS_LABEL: "one whole number, the place of its class in `classes`"}
# As TFX's own components ask for them: one value per example.
_SCHEMA = "\n".join(
    f'feature {{ name: "{name}" type: {kind} presence {{ min_fraction: 1 min_count: 1 }} shape {{}} }}'
    for name, kind in ((ENCODED, "BYTES"), (CLASS_LABEL, "INT"))
)
_OUTPUTS = ("serving_model_dir", "model_run_dir")
_READ_AT_ONCE = 64


def check_arguments(fn_args: FnArgs) -> None:
    """Raises ValueError for a `custom_config`, a schema or files that cannot be trained with, and warns of steps."""
    config = fn_args.custom_config or {}
    if len(config.get("classes") or []) < 2:
        raise ValueError(
            f"custom_config: received {sorted(config)}, needed is 'classes', the names of two or more classes in the "
            "order of their labels"
        )
    _check_limits(config.get("limits", {}))
    check_work_dir("custom_config: work_dir", config.get("work_dir"))
    if fn_args.schema_path:
        _check_schema(fn_args.schema_path)
    for name, steps in (("train_args", fn_args.train_steps), ("eval_args", fn_args.eval_steps)):
        if steps:
            log.warning(
                "%s.num_steps = %d is not followed: training ends by head_epochs, fine_tune_epochs and patience in "
                "custom_config['options'], and eval is read whole",
                name,
                steps,
            )


@contextmanager
def readable_examples(fn_args: FnArgs) -> Iterator[FnArgs]:
    """Gives arguments whose files are gzipped TFRecords of examples that have an image and a label.

    Such files are read where they lie. Others are read once through `fn_args.data_accessor`, and copied to a temporary
    folder. ValueError says what files or examples lack.
    """
    with tempfile.TemporaryDirectory(prefix="examples-") as folder:
        readable = copy.copy(fn_args)
        for name in ("train_files", "eval_files"):
            patterns = getattr(fn_args, name)
            if not any(tf.io.gfile.glob(pattern) for pattern in patterns):
                raise ValueError(f"{name}: no file is at {', '.join(map(repr, patterns))}: give a split with examples")
            if not _is_ours(name, patterns):
                copied = Path(folder, f"{name}.gz")
                _copy(name, fn_args, patterns, copied)
                setattr(readable, name, [str(copied)])
        yield readable


@contextmanager
def local_outputs(fn_args: FnArgs) -> Iterator[FnArgs]:
    """Gives arguments with local folders for remote ones (gs://, s3://, ...), and copies their content at the end."""
    remote = {name: path for name in _OUTPUTS if "://" in (path := getattr(fn_args, name))}
    with tempfile.TemporaryDirectory(prefix="outputs-") as folder:
        local = copy.copy(fn_args)
        for name in remote:
            setattr(local, name, str(Path(folder, name)))
        yield local
        for name, path in remote.items():
            # Only the first of several workers exports.
            if Path(folder, name).exists():
                io_utils.copy_dir(str(Path(folder, name)), path)


def check_work_dir(name: str, folder: str | None) -> None:
    """Raises ValueError for a URL, of which `Path` would make another name."""
    if folder and looks_like_url(folder):
        raise ValueError(
            f"{name}: received {folder!r}, allowed is a folder of this machine, where checkpoints are replaced: "
            "give custom_config['work_dir']"
        )


def _check_limits(limits: Any) -> None:
    allowed = [field.name for field in fields(ImageLimits)]
    if not isinstance(limits, dict) or not limits.keys() <= set(allowed):
        raise ValueError(
            f"custom_config: received limits = {limits!r}, allowed is a dictionary with some of {', '.join(allowed)}"
        )


def _check_schema(file: str) -> None:
    schema = io_utils.parse_pbtxt_file(file, schema_pb2.Schema())
    if missing := [name for name in _NEEDED if name not in {feature.name for feature in schema.feature}]:
        raise ValueError(
            f"the schema {file!r} lacks {_say(missing)}; it has {_names(feature.name for feature in schema.feature)}"
        )


def _is_ours(name: str, patterns: list[str]) -> bool:
    """Whether the first record of the first file is a compressed example; raises ValueError if that lacks a feature."""
    first = min(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
    try:
        # Without an operation on TensorFlow's devices: after one, workers cannot find each other.
        record = next(tf.compat.v1.io.tf_record_iterator(first, tf.io.TFRecordOptions(compression_type="GZIP")), None)
        if record is None:
            return True
        example = tf.train.Example.FromString(record)
    except (tf.errors.DataLossError, DecodeError):
        return False
    features = example.features.feature
    kinds = {ENCODED: "bytes_list", CLASS_LABEL: "int64_list"}
    if missing := [key for key, kind in kinds.items() if len(getattr(features[key], kind).value) != 1]:
        given = _names(key for key in features if features[key].WhichOneof("kind"))
        raise ValueError(f"{name}: the first example of {first!r} lacks {_say(missing)}; it has {given}")
    return True


def _copy(name: str, fn_args: FnArgs, patterns: list[str], file: Path) -> None:
    if fn_args.data_accessor is None:
        raise ValueError(
            f"{name}: {', '.join(map(repr, patterns))} are no gzipped TFRecord files of tf.train.Example, and there is "
            "no data_accessor to read another format with"
        )
    log.info("reading %s through TFX's data accessor, and copying the images", name)
    options = dataset_options.TensorFlowDatasetOptions(batch_size=_READ_AT_ONCE, num_epochs=1, shuffle=False)
    files = [path for pattern in patterns for path in sorted(tf.io.gfile.glob(pattern))]
    schema = text_format.Parse(_SCHEMA, schema_pb2.Schema())
    try:
        with tf.io.TFRecordWriter(str(file), "GZIP") as writer:
            for batch in fn_args.data_accessor.tf_dataset_factory(files, options, schema):
                for encoded, label in zip(batch[ENCODED].numpy(), batch[CLASS_LABEL].numpy(), strict=True):
                    writer.write(_example(encoded, int(label)))
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
        raise ValueError(f"{name}: the examples lack {_say(list(_NEEDED))}, or are none: {error.message}") from error


def _example(encoded: bytes, label: int) -> bytes:
    example = tf.train.Example()
    example.features.feature[ENCODED].bytes_list.value.append(encoded)
    example.features.feature[CLASS_LABEL].int64_list.value.append(label)
    serialized: bytes = example.SerializeToString()
    return serialized


def _say(missing: list[str]) -> str:
    return " and ".join(f"{name!r} ({_NEEDED[name]})" for name in missing)


def _names(names: Any) -> str:
    return ", ".join(map(repr, sorted(names))) or "nothing"
