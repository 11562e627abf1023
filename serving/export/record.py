"""`export.json`: the networks' files with their inputs, outputs and metrics."""

import hashlib
import importlib.metadata
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crackgate.contracts.evaluation import Requirement
from crackgate.contracts.scale import TrainedScale
from crackgate.gate.measurement import read_metrics
from crackgate.model.released_model import ReleasedModel
from serving.export.comparison import MeasuredNetwork
from serving.export.export import INT8, SAVED_MODEL, Export
from serving.export.interface import PIXELS, SCORES, UNFAMILIARITY
from serving.export.runtimes import FORMS, Runtime

# Version of the content.
_SCHEMA = 1


def file_name(network: str, suffix: str) -> str:
    """Names a file of a network."""
    return f"model-{network}{suffix}"


def make_record(result: Export, requirements: Sequence[Requirement], refused_for: Sequence[str]) -> dict[str, Any]:
    """The content of `export.json`. Without an integer network there are no `requirements`; `refused_for` says why."""
    model, size = result.model, result.model.image_size
    networks: dict[str, Any] = {SAVED_MODEL: {"bytes": saved_model_bytes(model.place)}}
    for name, files in result.files.items():
        written = {} if name == INT8 and refused_for else files
        networks[name] = {
            "bytes": sum(map(len, files.values())),
            "files": [_file(file_name(name, suffix), content) for suffix, content in written.items()],
        }
    for name, network in result.networks.items():
        networks[name] |= _describe(network, model)
    if FORMS[result.runtime].integers:
        networks[INT8] = networks.get(INT8, {"files": []}) | {
            "refused_for": list(refused_for),
            "requirements": [row.model_dump(mode="json") for row in requirements],
        }
    images = FORMS[result.runtime].images
    return {
        "schema_version": _SCHEMA,
        "runtime": result.runtime,
        "model_version": model.version,
        "classes": model.classes,
        "positive_classes": list(model.positive_classes),
        "threshold": model.threshold,
        "input": {
            "name": PIXELS,
            "dtype": "float32",
            "shape": [images, size, size, 3],
            "content": f"RGB, 0 to 255, the whole photograph scaled to {size} x {size} (bilinear, antialiased, aspect "
            "ratio not kept), not normalised",
        },
        # The network alone cannot refuse a photograph: its caller has to.
        "trained_on": None if model.scale is None else _scale(model.scale),
        "outputs": _outputs(model, images),
        "photographs": {
            "calibrated_on": result.calibrated_on,
            "judged_on": result.judged_on,
            "seen_in_training": result.seen_in_training,
            "skipped": [asdict(each) for each in result.skipped],
        },
        "machine": {
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)),
            "packages": _packages(result.runtime),
        },
        "networks": networks,
    }


def _outputs(model: ReleasedModel, images: int | None) -> list[dict[str, Any]]:
    scores = {
        "name": SCORES,
        "dtype": "float32",
        "shape": [images, len(model.classes)],
        "content": "calibrated score of every class, in the order of 'classes'; where the scores of "
        "'positive_classes' sum to 'threshold' or more, the image is of the best of them, else of the best of the "
        "others",
    }
    if model.familiarity is None:
        return [scores]
    unfamiliarity = {
        "name": UNFAMILIARITY,
        "dtype": "float32",
        "shape": [images],
        "content": "how unlike the training images it is: 0 and more, above 1 is unfamiliar; int8 does not have it",
    }
    return [scores, unfamiliarity]


def _packages(runtime: Runtime) -> dict[str, str]:
    """Versions of what converted and ran the networks."""
    return {name: importlib.metadata.version(name) for name in ("tensorflow", *FORMS[runtime].packages)}


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


def _file(name: str, content: bytes) -> dict[str, Any]:
    return {"file": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


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
