"""The paths of stored images: as they were found, and a number where other pipelines store none."""

from pathlib import Path

import tensorflow as tf

from crackgate.contracts import stored_example
from trainer.export.image_paths import read_paths


def test_paths_come_in_the_stored_order_and_images_without_one_have_a_number(tmp_path: Path) -> None:
    for number, paths in enumerate([[b"Positive/b.jpg", b"Negative/\xff.jpg"], [None, b"Negative/a.jpg"]]):
        with tf.io.TFRecordWriter(str(tmp_path / f"{number}.gz"), "GZIP") as writer:
            for path in paths:
                example = tf.train.Example()
                if path is not None:
                    example.features.feature[stored_example.FILENAME].bytes_list.value.append(path)
                writer.write(example.SerializeToString())
    expected = ["Positive/b.jpg", "Negative/\\xff.jpg", "image 3", "Negative/a.jpg"]
    assert read_paths([str(tmp_path / "*.gz")]) == expected
