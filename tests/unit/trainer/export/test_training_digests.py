"""What a model was trained on can be known again by 64 bits of each identity."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from components.evaluator.extractor import read_trained_on
from crackgate.contracts import stored_example
from trainer.export.training_digests import write_training_digests


def test_every_identity_of_every_split_is_there_once(tmp_path: Path) -> None:
    identities = []
    for split, count in (("train", 300), ("eval", 7)):
        with tf.io.TFRecordWriter(str(tmp_path / f"{split}.gz"), "GZIP") as writer:
            for number in range(count):
                # The first of both splits are of one group; images of earlier versions have no descriptor.
                group, descriptor = f"group {number // 2}".encode(), f"{split} {number}\0".encode()
                stored = {stored_example.GROUP: [group], stored_example.DESCRIPTOR: [descriptor] * (number % 3 > 0)}
                identities += [value for values in stored.values() for value in values]
                feature = {
                    name: tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
                    for name, values in stored.items()
                    if values
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    write_training_digests([str(tmp_path / "train*"), str(tmp_path / "eval*")], tmp_path / "model")
    digests = np.load(tmp_path / "model" / stored_example.TRAINING_DIGESTS_FILE)
    assert digests.dtype == np.uint64
    assert digests.tolist() == sorted({stored_example.digest(identity) for identity in identities})

    assert read_trained_on("ram://models/1") is None
    tf.io.gfile.makedirs("ram://models/1/assets.extra")
    written = tmp_path / "model" / stored_example.TRAINING_DIGESTS_FILE
    tf.io.gfile.copy(str(written), f"ram://models/1/{stored_example.TRAINING_DIGESTS_FILE}", overwrite=True)
    assert read_trained_on("ram://models/1") == read_trained_on(str(tmp_path / "model")) == set(digests.tolist())
