"""The Evaluator's input for the metrics; TFX calls `custom_eval_shared_model` and `custom_extractors` by name.

A batch has 20 MiB, the model sees 32 images at a time, and only its predictions go on. TFMA alone would batch up to a
thousand images and copy each several times.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from absl import flags
from tensorflow_model_analysis.extractors.unbatch_extractor import UNBATCH_EXTRACTOR_STAGE_NAME
from tensorflow_model_analysis.proto.config_pb2 import EvalConfig

from crackgate.config.gate import GateOptions, SliceOptions
from crackgate.contracts import metric_names, stored_example
from crackgate.images.image_folder import readable_path
from crackgate.model.training_digests import parse_training_digests

IMAGES_AT_ONCE = 32

# Outputs of the model that go on.
_KEPT = ("scores", "label", "error", "unfamiliarity")

Extracts = dict[str, Any]
# Feature, "below" or "above", and the value.
Boundary = tuple[str, str, float]


def custom_eval_shared_model(
    eval_saved_model_path: str, model_name: str, eval_config: EvalConfig, **options: Any
) -> Any:
    """Loads a model as TFMA does, and makes batches by size; TFMA calls it before it reads the examples."""
    flags.FLAGS.set_default("tfxio_use_byte_size_batching", True)
    return tfma.default_eval_shared_model(
        eval_saved_model_path=eval_saved_model_path, model_name=model_name, eval_config=eval_config, **options
    )


def custom_extractors(
    eval_shared_model: Any, eval_config: EvalConfig, tensor_adapter_config: Any
) -> list[tfma.extractors.Extractor]:
    """TFMA's own extractors, with one before and one after the model."""
    models = eval_shared_model if isinstance(eval_shared_model, list) else [eval_shared_model]
    paths = {model.model_name if len(models) > 1 else "": str(model.model_path) for model in models}
    extractors: list[tfma.extractors.Extractor] = tfma.default_extractors(
        eval_shared_model=eval_shared_model, eval_config=eval_config, tensor_adapter_config=tensor_adapter_config
    )
    stages = [extractor.stage_name for extractor in extractors]
    pieces = tfma.extractors.Extractor("SplitBatches", beam.FlatMap(_split_batch))
    predictions = tfma.extractors.Extractor(
        "KeepPredictions", beam.ParDo(KeepPredictions(paths, *_settings(eval_config)))
    )
    unbatched = stages.index(UNBATCH_EXTRACTOR_STAGE_NAME) + 1
    return [pieces, *extractors[:unbatched], predictions, *extractors[unbatched:]]


def read_trained_on(model: str) -> frozenset[int] | None:
    """As `read_training_digests`, of a model wherever TensorFlow loads it from."""
    file = os.path.join(model, stored_example.TRAINING_DIGESTS_FILE)
    return parse_training_digests(tf.io.gfile.GFile(file, "rb").read()) if tf.io.gfile.exists(file) else None


class KeepPredictions(beam.DoFn):
    """From the extracts of one image to its predictions and slices, without the image.

    Predictions are a dict, or one by model name for two models. It holds `metric_names.PATH`, and
    `metric_names.SEEN_IN_TRAINING` (1, 0, or NaN if unknown). The outputs in `_KEPT` follow if the model gives them.
    The only feature left is `metric_names.SLICE`: all slices of the image.
    """

    def __init__(self, model_paths: dict[str, str], classes: list[str], slices: SliceOptions):
        """Takes the SavedModels' folders by name in TFMA, the class names, and the boundaries of the slices."""
        self._model_paths = model_paths
        self._classes = classes
        self._slices: dict[str, Boundary] = {
            metric_names.DARK: (stored_example.BRIGHTNESS, "below", slices.dark),
            metric_names.BRIGHT: (stored_example.BRIGHTNESS, "above", slices.bright),
            metric_names.BLURRED: (stored_example.SHARPNESS, "below", slices.blurred),
            metric_names.LOW_CONTRAST: (stored_example.CONTRAST, "below", slices.low_contrast),
        }

    def setup(self) -> None:
        """Reads the names of the images that the models were trained on."""
        self._trained_on = {name: read_trained_on(path) for name, path in self._model_paths.items()}

    def process(self, extracts: Extracts) -> Iterator[Extracts]:
        """Yields the extracts of one image."""
        stored, predictions = extracts[tfma.FEATURES_KEY], extracts[tfma.PREDICTIONS_KEY]
        digests = [
            stored_example.digest(_only(stored[name])) for name in stored_example.IDENTITIES if _is_there(stored, name)
        ]
        path = np.array(readable_path(_only(stored[stored_example.FILENAME])), object)
        kept = {
            name: {
                **_as_dict(predictions[name] if name else predictions),
                metric_names.PATH: path,
                metric_names.SEEN_IN_TRAINING: _seen(digests, known),
            }
            for name, known in self._trained_on.items()
        }
        yield {
            tfma.LABELS_KEY: extracts[tfma.LABELS_KEY],
            tfma.EXAMPLE_WEIGHTS_KEY: extracts.get(tfma.EXAMPLE_WEIGHTS_KEY),
            tfma.PREDICTIONS_KEY: kept if len(kept) > 1 else kept[""],
            tfma.FEATURES_KEY: {metric_names.SLICE: np.array(self._slices_of(stored), object)},
        }

    def _slices_of(self, stored: Extracts) -> list[str]:
        found = [metric_names.class_slice(self._classes[int(_only(stored[stored_example.CLASS_LABEL]))])]
        for name, (feature, side, boundary) in self._slices.items():
            if _is_there(stored, feature):
                value = float(_only(stored[feature]))
                if value < boundary if side == "below" else value > boundary:
                    found.append(name)
        if _is_there(stored, stored_example.PART):
            found.append(metric_names.part_slice(readable_path(_only(stored[stored_example.PART]))))
        return found


def _split_batch(extracts: Extracts) -> Iterator[Extracts]:
    batch = extracts[tfma.ARROW_RECORD_BATCH_KEY]
    for start in range(0, batch.num_rows, IMAGES_AT_ONCE):
        yield {**extracts, tfma.ARROW_RECORD_BATCH_KEY: batch.slice(start, IMAGES_AT_ONCE)}


def _settings(eval_config: EvalConfig) -> tuple[list[str], SliceOptions]:
    """Reads classes and slices from the configuration of `ReleaseMetrics`, which alone TFX passes on."""
    (config,) = [
        json.loads(metric.config)
        for spec in eval_config.metrics_specs
        for metric in spec.metrics
        if metric.class_name == "ReleaseMetrics"
    ]
    return config["classes"], GateOptions.model_validate(config["gate"]).slices


def _seen(digests: list[int], known: frozenset[int] | None) -> np.ndarray:
    if known is None or not digests:
        return np.array(np.nan)
    return np.array(float(any(digest in known for digest in digests)))


def _as_dict(predictions: Any) -> dict[str, Any]:
    """Restores the dict of a single output, which TFMA unpacks."""
    outputs = predictions if isinstance(predictions, dict) else {"scores": predictions}
    if "scores" not in outputs:
        raise ValueError(f"serving_default gives {', '.join(outputs)}; the gate needs 'scores', one for each class")
    return {name: outputs[name] for name in _KEPT if name in outputs}


def _is_there(stored: Extracts, name: str) -> bool:
    return name in stored and np.asarray(stored[name]).size > 0


def _only(value: Any) -> Any:
    return np.asarray(value).reshape(-1)[0]
