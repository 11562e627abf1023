"""The figures of an evaluation, for a manifest."""

import json
import math
from pathlib import Path

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis import constants

from components.release_files import CARD_FILE


def read_metrics(uri: str, model: Path) -> dict[str, float | None]:
    """Reads what the Evaluator found on all test images.

    Args:
        uri: Of the ModelEvaluation artifact.
        model: The SavedModel that was judged, which may name its classes.

    Returns:
        Figures by name; those of one class as "recall of Positive". None where one could not be computed.
    """
    classes = _read_classes(model)
    figures: dict[str, float | None] = {}
    for part in tfma.load_metrics(uri):
        if part.slice_key.single_slice_keys:
            continue
        for pair in part.metric_keys_and_values:
            key = pair.key
            of_candidate = key.model_name != constants.BASELINE_KEY and not key.is_diff
            if of_candidate and pair.value.HasField("double_value"):
                value = pair.value.double_value.value
                figures[_name(key, classes)] = value if math.isfinite(value) else None
    return dict(sorted(figures.items()))


def _name(key: "tfma.MetricKey", classes: list[str]) -> str:
    if not key.sub_key.HasField("class_id"):
        return str(key.name)
    label = key.sub_key.class_id.value
    return f"{key.name} of {classes[label] if label < len(classes) else f'class {label}'}"


def _read_classes(model: Path) -> list[str]:
    try:
        classes: list[str] = json.loads((model / CARD_FILE).read_text(encoding="utf-8"))["classes"]
    except (OSError, ValueError, KeyError):  # A model that was trained elsewhere.
        return []
    return classes
