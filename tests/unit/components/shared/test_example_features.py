"""Examples of others are refused by what they lack, also where the first files of a split are empty."""

from pathlib import Path

import pytest
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from components.shared.example_features import check_features


def _examples(folder: Path, *shards: list[bytes]) -> standard_artifacts.Examples:
    """A split of these shards, and one without files."""
    (folder / "Split-none").mkdir()
    (folder / "Split-train").mkdir()
    for number, records in enumerate(shards):
        with tf.io.TFRecordWriter(str(folder / "Split-train" / f"{number}.gz"), "GZIP") as writer:
            for record in records:
                writer.write(record)
    examples = standard_artifacts.Examples()
    examples.uri, examples.split_names = str(folder), artifact_utils.encode_split_names(["none", "train"])
    return examples


def test_the_first_example_counts_whichever_file_has_it(tmp_path: Path) -> None:
    example = tf.train.Example()
    example.features.feature["image/group"].bytes_list.value.append(b"1")
    examples = _examples(tmp_path, [], [example.SerializeToString()])
    check_features(examples, ["image/group"])
    with pytest.raises(ValueError, match=r"split 'train' have no image/copies; received are image/group: give the ex"):
        check_features(examples, ["image/group", "image/copies"])


def test_splits_without_examples_lack_nothing(tmp_path: Path) -> None:
    check_features(_examples(tmp_path, [], []), ["image/group"])
