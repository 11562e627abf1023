"""The objects of Kubernetes that a compiled pipeline needs, read from its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from crackgate.config.kubeflow import DATA_SECRET_FOLDER, SIGNING_FOLDER
from kubeflow.task.metadata_store import REQUIRED, SECRET_FOLDER


@dataclass(frozen=True)
class Needs:
    """Names of what the tasks mount or pull: images, claims, Secrets with the keys that they must have.

    `store_secret` is the one of these Secrets that describes the metadata store; "" if there is none.
    """

    images: tuple[str, ...]
    claims: tuple[str, ...]
    secrets: dict[str, tuple[str, ...]]
    pull_secrets: tuple[str, ...]
    store_secret: str


def read_needs(file: Path) -> Needs:
    """Returns the needs of a file that `crackgate kubeflow compile` wrote."""
    content: dict[str, Any] = {}
    for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader):
        content |= document
    containers = content["deploymentSpec"]["executors"].values()
    # A pipeline that mounts nothing has no second document.
    on_kubernetes = content.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    executors: list[dict[str, Any]] = list(on_kubernetes.values())
    mounted = {
        secret["mountPath"]: secret["secretName"] for each in executors for secret in each.get("secretAsVolume", ())
    }
    store = mounted.get(str(SECRET_FOLDER), "")
    # The configuration alone names the key's file, and the store its credentials, so any key will do.
    others: dict[str, tuple[str, ...]] = {
        mounted[folder]: () for folder in (SIGNING_FOLDER, DATA_SECRET_FOLDER) if folder in mounted
    }
    return Needs(
        images=tuple(sorted({executor["container"]["image"] for executor in containers})),
        claims=tuple(sorted({mount["constant"] for each in executors for mount in each.get("pvcMount", ())})),
        secrets={**({store: REQUIRED} if store else {}), **others},
        pull_secrets=tuple(
            sorted({secret["secretName"] for each in executors for secret in each.get("imagePullSecret", ())})
        ),
        store_secret=store,
    )
