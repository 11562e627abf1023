"""Whether the network beside the SavedModel gives the SavedModel's scores, from the bytes of images on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from crackgate.contracts import stored_example
from crackgate.contracts.card import read_card
from crackgate.contracts.serving_findings import ServingCheckResult
from crackgate.model.local_decoding import LocalDecoder
from crackgate.model.network import check_agreement
from crackgate.model.outputs import Outputs
from crackgate.model.stored_network import STORED_TOLERANCE, has_network, read_network

_NAME = "stored network"


def check(model: Path, reference: Path, outputs: dict[str, Any]) -> ServingCheckResult:
    """Compares the stored network's outputs for the images in `reference` with the SavedModel's.

    `outputs` are these: `scores`, one list for each image, and `unfamiliarity`, if the SavedModel gives that.
    """
    if not has_network(model):
        return _result("skipped", "the model has none: OpenVINO could not run it as TensorFlow does")
    try:
        images, card = _images(reference), read_card(model)
        # A photograph that was a small WebP or HEIC file may be stored as a PNG of more bytes than ingest takes.
        limits = replace(card.limits, max_bytes=max(map(len, images)))
        pixels, errors = LocalDecoder(card.model_copy(update={"limits": limits})).decode(images)
        if refused := [error for error in errors if error]:
            raise ValueError(f"it refuses good images: {', '.join(sorted(set(refused)))}")
        expected = Outputs(**{name: np.array(values, np.float32) for name, values in outputs.items()})
        off = check_agreement(read_network(model), pixels, expected, STORED_TOLERANCE)
    # OpenVINO raises many types.
    except Exception as error:
        return _result("failed", f"{error}; train the model anew")
    return _result("passed", f"{len(pixels)} images, at most {off:.1g} from the SavedModel's scores")


def _result(outcome: str, detail: str) -> ServingCheckResult:
    return ServingCheckResult.model_validate({"name": _NAME, "outcome": outcome, "detail": detail})


def _images(reference: Path) -> list[bytes]:
    import tensorflow as tf

    records = tf.data.TFRecordDataset([str(reference)], "GZIP").as_numpy_iterator()
    features = (tf.train.Example.FromString(record).features.feature for record in records)
    return [feature[stored_example.ENCODED].bytes_list.value[0] for feature in features]
