"""Outliers: the images that a check names when it stops a run."""

import heapq
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from tfx import types
from tfx.types import artifact_utils

from crackgate.contracts import stored_example

_NAMED = 5


def find_outliers(examples: types.Artifact, split: str, feature: str, centre: float) -> str:
    """Reads a split for the images whose feature is farthest from `centre`, as "'path' (value), ..."."""
    values = _values(examples, split, feature)
    farthest = heapq.nsmallest(_NAMED, values, key=lambda row: (-abs(row[1] - centre), row[0]))
    return ", ".join(f"{path!r} ({value:.4g})" for path, value in farthest)


def _values(examples: types.Artifact, split: str, feature: str) -> Iterator[tuple[str, float]]:
    files = sorted(map(str, Path(artifact_utils.get_split_uri([examples], split)).iterdir()))
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        found = tf.train.Example.FromString(record).features.feature
        path = found[stored_example.FILENAME].bytes_list.value[0].decode("utf-8", "backslashreplace")
        numbers = found[feature].float_list.value or found[feature].int64_list.value
        if numbers:
            yield path, float(numbers[0])
