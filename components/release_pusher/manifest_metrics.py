"""The figures of an evaluation, for a manifest."""

import math
from pathlib import Path

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis import constants

from crackgate.contracts.card import find_card
from crackgate.contracts.metric_names import HIGH, IMAGES, LOW, OVERALL, PER_CLASS

# Not the gate's requirements, which TFMA stores among the figures.
_TOLD = {IMAGES, *(name + end for name in OVERALL + PER_CLASS for end in ("", LOW, HIGH))}


def read_metrics(uri: str, model: Path) -> dict[str, float | None]:
    """Reads what the Evaluator found on all test images.

    Args:
        uri: Of the ModelEvaluation artifact.
        model: The SavedModel that was judged, which may name its classes.

    Returns:
        Figures by name, with the ends of their intervals ("accuracy_low"); those of one class as "recall of Positive".
        None where one could not be computed.
    """
    card = find_card(model)
    classes = [] if card is None else card.classes
    figures: dict[str, float | None] = {}
    for part in tfma.load_metrics(uri):
        if part.slice_key.single_slice_keys:
            continue
        for pair in part.metric_keys_and_values:
            key = pair.key
            if key.name in _TOLD and key.model_name != constants.BASELINE_KEY and not key.is_diff:
                value = pair.value.double_value.value
                figures[_name(key, classes)] = value if math.isfinite(value) else None
    return dict(sorted(figures.items()))


def _name(key: "tfma.MetricKey", classes: list[str]) -> str:
    if not key.sub_key.HasField("class_id"):
        return str(key.name)
    label = key.sub_key.class_id.value
    return f"{key.name} of {classes[label] if label < len(classes) else f'class {label}'}"
