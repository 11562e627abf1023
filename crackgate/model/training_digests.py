"""The images that a model was trained on, as it names them itself."""

from pathlib import Path

import numpy as np

from crackgate.contracts.stored_example import TRAINING_DIGESTS_FILE


def read_training_digests(model: Path) -> frozenset[int] | None:
    """Digests (`stored_example.digest`) of the images that a SavedModel was trained on; None where it does not say."""
    file = model / TRAINING_DIGESTS_FILE
    return frozenset(np.load(file).tolist()) if file.is_file() else None
