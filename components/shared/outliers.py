"""Outliers: the images that a check names when it stops a run."""

import heapq
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tfx import types
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from crackgate.contracts import stored_example

_NAMED = 5


@dataclass(frozen=True)
class OutsideImages:
    """Images of a split whose feature lies outside its range.

    Attributes:
        count: How many.
        of: Images of the split that have the feature.
        farthest: Some of them, as "'path' (value), ...", those farthest from the range first.
    """

    count: int
    of: int
    farthest: str


def find_outside(examples: types.Artifact, split: str, feature: str, low: float, high: float) -> OutsideImages:
    """Reads a split for the images whose feature is less than `low` or more than `high`."""
    values = list(_values(examples, split, feature))
    outside = [row for row in values if not low <= row[1] <= high]
    return OutsideImages(
        len(outside), len(values), _name_farthest(outside, lambda value: max(low - value, value - high))
    )


def find_outliers(examples: types.Artifact, split: str, feature: str, centre: float) -> str:
    """Reads a split for the images whose feature is farthest from `centre`, as "'path' (value), ..."."""
    return _name_farthest(_values(examples, split, feature), lambda value: abs(value - centre))


def _name_farthest(values: Iterable[tuple[str, float]], distance: Callable[[float], float]) -> str:
    farthest = heapq.nsmallest(_NAMED, values, key=lambda row: (-distance(row[1]), row[0]))
    return ", ".join(f"{path!r} ({value:.4g})" for path, value in farthest)


def _values(examples: types.Artifact, split: str, feature: str) -> Iterator[tuple[str, float]]:
    # Only a run that is stopped names its images, and TensorFlow takes seconds to import.
    import tensorflow as tf

    files = sorted(fileio.glob(os.path.join(artifact_utils.get_split_uri([examples], split), "*")))
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        found = tf.train.Example.FromString(record).features.feature
        path = found[stored_example.FILENAME].bytes_list.value[0].decode("utf-8", "backslashreplace")
        numbers = found[feature].float_list.value or found[feature].int64_list.value
        if numbers:
            yield path, float(numbers[0])
