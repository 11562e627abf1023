"""The Kubernetes manifests as they stand in the repository."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).resolve().parents[2] / "kubeflow" / "manifests"
PARTS = ("base", "serving", "mirror", "kserve", "flink", "training", "trainjob", "mesh", "shell")


@dataclass(frozen=True)
class Pod:
    """A pod as something makes it.

    Attributes:
        owner: Kind and name of what makes it.
        spec: PodSpec.
        labels: Of the pod.
    """

    owner: str
    spec: dict[str, Any]
    labels: dict[str, str]


def load(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


@cache
def manifests() -> list[dict[str, Any]]:
    """Every object that the parts' kustomizations name."""
    found = []
    for part in PARTS:
        (kustomization,) = load(MANIFESTS / part / "kustomization.yaml")
        own = [name for name in kustomization["resources"] if not name.startswith("..")]
        found += [manifest for name in own for manifest in load(MANIFESTS / part / name)]
    return found


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    """Objects of that kind by name."""
    return {manifest["metadata"]["name"]: manifest for manifest in manifests() if manifest["kind"] == kind}


def pods() -> Iterator[Pod]:
    """Every pod that runs, whatever makes it."""
    for manifest in manifests():
        owner, spec = f"{manifest['kind']} {manifest['metadata']['name']}", manifest.get("spec", {})
        if manifest["kind"] == "FlinkDeployment":
            common = spec["podTemplate"]
            for role in ("jobManager", "taskManager"):
                # The operator merges lists by position, so that they must stand in one of the two.
                assert not any(isinstance(value, list) for value in common["spec"].values())
                merged = {**common["spec"], **spec[role]["podTemplate"]["spec"]}
                yield Pod(f"{owner} {role}", merged, common["metadata"]["labels"])
        elif manifest["kind"] == "InferenceService":
            predictor = spec["predictor"]
            yield Pod(owner, {**predictor, "containers": [{"name": "model", **predictor["model"]}]}, {})
        elif manifest["kind"] == "Pod":
            yield Pod(owner, spec, manifest["metadata"]["labels"])
        elif "template" in spec:
            template = spec["template"]
            if manifest["kind"] == "TrainingRuntime":
                (job,) = template["spec"]["replicatedJobs"]
                template = job["template"]["spec"]["template"]
            yield Pod(owner, template["spec"], template["metadata"]["labels"])
