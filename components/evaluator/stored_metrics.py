"""TFMA's evaluation artifact, read into the gate's own terms."""

from dataclasses import dataclass, field

import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.constants import BASELINE_KEY
from tensorflow_model_analysis.proto.metrics_for_slice_pb2 import ArrayValue, MetricsForSlice
from tensorflow_model_analysis.slicer.slicer_lib import deserialize_slice_key

from crackgate.contracts.evaluation import ALL_IMAGES
from crackgate.gate.metrics import Key


@dataclass(frozen=True)
class StoredSlice:
    """One slice of the test images, `ALL_IMAGES` or the slice's name.

    Attributes:
        metrics: The candidate's counts, metrics and changes; empty for a slice without images.
        baseline: The same of the model in production; empty when there is none.
        tables: The candidate's confusion matrix and curves, row by row, by name.
        texts: The candidate's JSON, by name.
    """

    name: str
    metrics: dict[Key, float] = field(default_factory=dict)
    baseline: dict[Key, float] = field(default_factory=dict)
    tables: dict[str, list[list[float]]] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)


def read_slices(uri: str) -> dict[str, StoredSlice]:
    """Reads all slices by name from the artifact's folder; `ALL_IMAGES` is always there."""
    slices = {ALL_IMAGES: StoredSlice(ALL_IMAGES)}
    return slices | {part.name: part for part in map(_read_slice, tfma.load_metrics(uri))}


def _read_slice(stored: MetricsForSlice) -> StoredSlice:
    slice_key = deserialize_slice_key(stored.slice_key)
    part = StoredSlice(str(slice_key[0][1]) if slice_key else ALL_IMAGES)
    for pair in stored.metric_keys_and_values:
        key, value = pair.key, pair.value
        if key.is_diff:  # TFMA's own; the differences with intervals have names of their own
            continue
        if value.HasField("array_value"):
            part.tables[key.name] = _rows(value.array_value)
        elif value.HasField("bytes_value"):
            part.texts[key.name] = value.bytes_value
        else:
            label = key.sub_key.class_id.value if key.sub_key.HasField("class_id") else None
            values = part.baseline if key.model_name == BASELINE_KEY else part.metrics
            values[key.name, label] = value.double_value.value
    return part


def _rows(stored: ArrayValue) -> list[list[float]]:
    values = stored.float64_values or stored.int64_values
    rows: list[list[float]] = np.array(values).reshape(tuple(stored.shape)).tolist()
    return rows
