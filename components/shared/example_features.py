"""The features of stored examples, which components read without asking each example."""

import os
from collections.abc import Sequence

from tfx import types
from tfx.dsl.io import fileio
from tfx.types import artifact_utils


def check_features(examples: types.Artifact, names: Sequence[str]) -> None:
    """Raises ValueError where the first example of a split, if it has any, lacks some of these features."""
    # Components without Beam import this package, and TensorFlow takes seconds to import.
    import tensorflow as tf

    for split in artifact_utils.decode_split_names(examples.split_names):
        files = sorted(fileio.glob(os.path.join(artifact_utils.get_split_uri([examples], split), "*")))
        # The first files may be empty.
        for record in tf.data.TFRecordDataset(files, compression_type="GZIP").take(1).as_numpy_iterator():
            found = tf.train.Example.FromString(record).features.feature
            if missing := [name for name in names if name not in found]:
                raise ValueError(
                    f"the examples of split {split!r} have no {', '.join(missing)}; received are "
                    f"{', '.join(sorted(found)) or 'no features'}: give the examples of ImageExampleGen"
                )
