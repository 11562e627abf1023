"""Building ImageExampleGen for the tests, and reading what it has stored."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from components.image_example_gen.component import ImageExampleGen
from crackgate.config.data import DataOptions, SplitRatios
from crackgate.contracts import stored_example
from crackgate.data_set.data_set import find_data_set
from crackgate.images.sample_data import draw_photograph

if TYPE_CHECKING:
    import tensorflow as tf

    Examples = dict[str, list[tf.train.Example]]

EVEN = SplitRatios(train=1, eval=1, test=1)


def example_gen(
    folder: Path, classes: list[str] | None = None, max_rejected_share: float = 0.05, **changes: Any
) -> ImageExampleGen:
    options = DataOptions(max_rejected_share=max_rejected_share, **changes)
    return ImageExampleGen(folder, classes or find_data_set(folder, options).classes or None, options)


def bytes_of(example: "tf.train.Example", name: str) -> bytes:
    (value,) = example.features.feature[name].bytes_list.value
    return bytes(value)


def int_of(example: "tf.train.Example", name: str) -> int:
    (value,) = example.features.feature[name].int64_list.value
    return int(value)


def float_of(example: "tf.train.Example", name: str) -> float:
    (value,) = example.features.feature[name].float_list.value
    return float(value)


def split_by_path(stored: "Examples") -> dict[str, str]:
    return {
        os.fsdecode(bytes_of(example, stored_example.FILENAME)): split
        for split, examples in stored.items()
        for example in examples
    }


def draw(number: int, size: int = 64) -> Image.Image:
    return draw_photograph(False, np.random.default_rng([99, number]), size)


def paths_by_group(stored: "Examples") -> dict[bytes, set[str]]:
    """The paths of every group."""
    groups: dict[bytes, set[str]] = {}
    for example in (example for examples in stored.values() for example in examples):
        path = os.fsdecode(bytes_of(example, stored_example.FILENAME))
        groups.setdefault(bytes_of(example, stored_example.GROUP), set()).add(path)
    return groups


def splits_of(paths: set[str], split_by_path: dict[str, str]) -> set[str]:
    return {split_by_path[path] for path in paths}
