"""The released model that a candidate is compared with."""

import re
from pathlib import Path, PurePosixPath

import ml_metadata as mlmd
from tfx import types
from tfx.dsl.components.common import resolver
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils

from components.resolvers.released_versions import ReleasedVersions, note_artifact
from components.shared.local_artifact import local_path, serving_path
from components.shared.model_artifact import copy_as_artifact
from crackgate.contracts.pushed_model import PUSHED_DESTINATION, PUSHED_VERSION
from crackgate.model.graph_operations import check_operations
from crackgate.releases import is_model
from crackgate.releases.identity import find_identity
from crackgate.releases.manifest import measure_model

_DIGITS = 16
_COPY = re.compile(rf"(\d+)-[0-9a-f]{{{_DIGITS}}}")


def copied_version(uri: str) -> int | None:
    """The number of the version of which the strategy's artifact is a copy; None for an artifact of others."""
    match = _COPY.fullmatch(PurePosixPath(uri).name)
    return int(match[1]) if match else None


class ModelInProductionStrategy(resolver.ResolverStrategy):
    """Finds the model in production, or the one before if that is the candidate itself.

    It takes the model from the serving directory: artifacts of earlier runs may be gone. TFX's
    LatestBlessedModelStrategy also knows no rollback, and takes models that were never released.

    The inputs are `model` and `candidate`.
    """

    def __init__(self, serving_dir: str, classes: list[str], public_key: str, copies: str):
        """See `ReleasedVersions`; `copies` is the folder that receives the model as TFX stores one."""
        self._versions = ReleasedVersions(serving_path(serving_dir), classes, public_key)
        self._copies = Path(copies)

    def resolve_artifacts(
        self,
        store: mlmd.MetadataStore,
        input_dict: dict[str, list[types.Artifact]],
    ) -> dict[str, list[types.Artifact]]:
        """Returns at most one artifact of `model`, and nothing else."""
        candidate = artifact_utils.get_single_instance(input_dict["candidate"])
        model = local_path(path_utils.serving_model_path(candidate.uri))
        digest, identity = measure_model(model), find_identity(model)
        for folder, manifest in self._versions.newest_first():
            if not is_model(folder, manifest, digest, identity):
                # It will be loaded, and without a public key anyone who can write there may have put it there.
                check_operations(folder)
                return {"model": [self._artifact(store, folder, manifest.own_digest)], "candidate": []}
        return {"model": [], "candidate": []}

    def _artifact(self, store: mlmd.MetadataStore, folder: Path, digest: str) -> types.Artifact:
        artifact = standard_artifacts.Model()
        artifact.uri = str(copy_as_artifact(folder, self._copies / f"{folder.name}-{digest[:_DIGITS]}"))
        artifact.set_string_custom_property(PUSHED_DESTINATION, str(folder))
        artifact.set_string_custom_property(PUSHED_VERSION, folder.name)
        return note_artifact(store, artifact)
