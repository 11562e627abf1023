"""`tflite.json`: the TensorFlow Lite files with their inputs, outputs and metrics."""

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow as tf

from crackgate.contracts.evaluation import Requirement
from crackgate.contracts.scale import TrainedScale
from crackgate.gate.measurement import read_metrics
from crackgate.model.released_model import ReleasedModel
from serving.lite.comparison import MeasuredNetwork
from serving.lite.conversion import INPUT, OUTPUT, THREADS
from serving.lite.export import FLOAT32, INT8, SAVED_MODEL, Export

FILES = {FLOAT32: "model-float32.tflite", INT8: "model-int8.tflite"}


def make_record(result: Export, requirements: Sequence[Requirement], refused_for: Sequence[str]) -> dict[str, Any]:
    """The content of `tflite.json`. Without an integer file there are no `requirements`, and `refused_for` says why."""
    model, size = result.model, result.model.image_size
    networks: dict[str, Any] = {SAVED_MODEL: {"bytes": saved_model_bytes(model.folder)}, FLOAT32: _file(result.float32)}
    networks[FLOAT32] = {"file": FILES[FLOAT32], **networks[FLOAT32]}
    networks[INT8] = {"file": None if refused_for else FILES[INT8]}
    if result.int8 is not None:
        networks[INT8] |= _file(result.int8)
    for name, network in result.networks.items():
        networks[name] |= _describe(network, model)
    networks[INT8] |= {
        "refused_for": list(refused_for),
        "requirements": [row.model_dump(mode="json") for row in requirements],
    }
    return {
        "model_version": model.version,
        "classes": model.classes,
        "positive_classes": list(model.positive_classes),
        "threshold": model.threshold,
        "input": {
            "name": INPUT,
            "dtype": "float32",
            "shape": [1, size, size, 3],
            "content": f"RGB, 0 to 255, the whole photograph scaled to {size} x {size} (bilinear, antialiased, aspect "
            "ratio not kept), not normalised",
        },
        # The network alone cannot refuse a photograph: its caller has to.
        "trained_on": None if model.scale is None else _scale(model.scale),
        "output": {
            "name": OUTPUT,
            "dtype": "float32",
            "shape": [1, len(model.classes)],
            "content": "calibrated score of every class, in the order of 'classes'; where the scores of "
            "'positive_classes' sum to 'threshold' or more, the image is of the best of them, else of the best of the "
            "others",
        },
        "photographs": {
            "calibrated_on": result.calibrated_on,
            "judged_on": result.judged_on,
            "seen_in_training": result.seen_in_training,
            "skipped": [asdict(each) for each in result.skipped],
        },
        "machine": {
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)),
            "tensorflow": tf.__version__,
            "tflite_threads": THREADS,
        },
        "networks": networks,
    }


def _scale(scale: TrainedScale) -> dict[str, Any]:
    return {
        **scale.model_dump(),
        "allowed_sides": list(scale.allowed_sides),
        "allowed_elongations": list(scale.allowed_elongations),
    }


def saved_model_bytes(folder: Path) -> int:
    """Size of a SavedModel's graph and variables, without what lies beside them."""
    files = [folder / "saved_model.pb", *(folder / "variables").glob("*")]
    return sum(file.stat().st_size for file in files)


def _file(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _describe(network: MeasuredNetwork, model: ReleasedModel) -> dict[str, Any]:
    difference = network.largest_difference
    return {
        "images_per_second": round(network.images_per_second, 1),
        "label_agreement": network.agreement,
        "largest_score_difference": difference if math.isfinite(difference) else None,
        "metrics": [
            value.model_dump()
            for value in read_metrics(network.measurement.metrics, model.classes, model.positive_classes)
        ],
    }


def _cpu() -> str:
    """The processor's name, "" where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
