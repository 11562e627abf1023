"""Seconds and peak memory of the gate's evaluation, by number and size of the test images.

Repeated photographs are scored by a small network that takes a batch of any size. Each row is a process of its own.

    python -m tools.benchmarks.evaluation --photographs FOLDER --counts 4000 12000 40000
"""

import io
import itertools
import os
import tempfile
import time
from pathlib import Path

import apache_beam as beam
import keras
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from PIL import Image
from tfx_bsl.public import tfxio

from components.evaluator.extractor import custom_eval_shared_model, custom_extractors
from crackgate.config.beam import BeamOptions
from crackgate.config.gate import GateOptions
from crackgate.contracts import stored_example
from crackgate.images.quality import measure
from pipeline.beam_profiles import beam_pipeline_args
from pipeline.eval_config import build_eval_config
from tools.benchmarks.measurement import Table, run_function
from tools.benchmarks.photographs import argument_parser, find_photographs

CLASSES = ["Negative", "Positive"]
DIFFERENT = 200


def main() -> None:
    """Prints the table."""
    parser = argument_parser(__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[4000, 12_000], help="numbers of test images")
    parser.add_argument("--side", type=int, default=227, help="side that the photographs are enlarged to, pixels")
    arguments = parser.parse_args()
    files = find_photographs(arguments.photographs)
    table = Table("images >8 | kB each >8.0f | seconds >8.0f | peak MB >8.0f")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model")
        save_model(model)
        examples = make_examples(files, arguments.side)
        for count in arguments.counts:
            stored = Path(folder, f"{count}.tfrecord")
            with tf.io.TFRecordWriter(str(stored)) as writer:
                for record in itertools.islice(itertools.cycle(examples), count):
                    writer.write(record)
            finished = run_function("evaluation.evaluate", model, stored, Path(folder, f"{count}"))
            table.add(count, len(examples[0]) / 1e3, finished.result, finished.peak_megabytes)
            stored.unlink()


def evaluate(model: Path, examples: Path, output: Path, options: BeamOptions | None = None) -> float:
    """Evaluates as the Evaluator does, and returns the seconds."""
    config = tfma.utils.update_eval_config_with_defaults(build_eval_config(CLASSES, ["Positive"], GateOptions()))
    shared = custom_eval_shared_model(str(model), "", config)
    source = tfxio.TFExampleRecord(str(examples), raw_record_column_name=tfma.ARROW_INPUT_COLUMN)
    began = time.monotonic()
    with beam.Pipeline(argv=beam_pipeline_args(options or BeamOptions())) as pipeline:
        _ = (
            pipeline
            | source.BeamSource()
            | tfma.ExtractEvaluateAndWriteResults(
                eval_shared_model=shared,
                eval_config=config,
                extractors=custom_extractors(shared, config, None),
                output_path=str(output),
            )
        )
    return time.monotonic() - began


def make_examples(files: list[Path], side: int) -> list[bytes]:
    """Returns serialized examples of randomly drawn photographs."""
    chosen = np.random.default_rng(0).permutation(len(files))[:DIFFERENT]
    return [_make_example(files[at], side) for at in chosen]


def _make_example(file: Path, side: int) -> bytes:
    with Image.open(file) as photograph:
        image = photograph.convert("RGB").resize((side, side))
    stream = io.BytesIO()
    image.save(stream, "jpeg", quality=95)
    quality = measure(np.asarray(image.convert("L")))
    example = tf.train.Example()
    feature = example.features.feature
    feature[stored_example.ENCODED].bytes_list.value.append(stream.getvalue())
    feature[stored_example.CLASS_LABEL].int64_list.value.append(CLASSES.index(file.parent.name))
    feature[stored_example.GROUP].bytes_list.value.append(file.name.encode())
    feature[stored_example.FILENAME].bytes_list.value.append(os.fsencode(file.name))
    feature[stored_example.BRIGHTNESS].float_list.value.append(quality.brightness)
    feature[stored_example.CONTRAST].float_list.value.append(quality.contrast)
    feature[stored_example.SHARPNESS].float_list.value.append(quality.sharpness)
    return example.SerializeToString()


def save_model(folder: Path) -> None:
    """Saves a small, untrained convolutional network that decodes and scores the whole batch at once."""
    network = keras.Sequential(
        [
            keras.Input((160, 160, 3)),
            keras.layers.Conv2D(16, 3, strides=4, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(len(CLASSES), activation="softmax"),
        ]
    )
    module = tf.Module()
    module.network = network

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serving_default(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        encoded = tf.io.parse_example(examples, {stored_example.ENCODED: tf.io.FixedLenFeature([], tf.string)})
        images = tf.map_fn(
            lambda image: tf.image.resize(tf.io.decode_jpeg(image, channels=3), (160, 160)) / 255,
            encoded[stored_example.ENCODED],
            fn_output_signature=tf.TensorSpec((160, 160, 3), tf.float32),
        )
        return {"scores": network(images)}

    tf.saved_model.save(module, str(folder), signatures=serving_default)


if __name__ == "__main__":
    main()
