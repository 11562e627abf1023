"""The images that a model was trained on, as it names them itself."""

import io
from pathlib import Path

import numpy as np

from crackgate.contracts.stored_example import TRAINING_DIGESTS_FILE


def parse_training_digests(content: bytes) -> frozenset[int]:
    """The digests in the content of `TRAINING_DIGESTS_FILE`."""
    return frozenset(np.load(io.BytesIO(content)).tolist())


def read_training_digests(model: Path) -> frozenset[int] | None:
    """Digests (`stored_example.digest`) of the images that a SavedModel was trained on; None where it does not say."""
    file = model / TRAINING_DIGESTS_FILE
    return parse_training_digests(file.read_bytes()) if file.is_file() else None
