"""The versions that a run is compared with, and their notes in ML Metadata."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx import types, version
from tfx.types.artifact_utils import ARTIFACT_TFX_VERSION_CUSTOM_PROPERTY_KEY

from crackgate.contracts.card import CardError
from crackgate.releases import Manifest, has_classes, verify, versions_newest_first
from crackgate.releases.signatures import load_public_key

log = logging.getLogger("crackgate")


@dataclass(frozen=True)
class ReleasedVersions:
    """The released versions of some classes.

    Attributes:
        serving_dir: May be missing.
        classes: Names in label order; only versions of the same classes can be compared.
        public_key: File of the key that must have signed them; "": see `crackgate.releases.verify`.
    """

    serving_dir: Path
    classes: list[str]
    public_key: str

    def newest_first(self) -> Iterator[tuple[Path, Manifest]]:
        """Verified versions; the log says which ones are passed over, and why."""
        key = load_public_key(Path(self.public_key)) if self.public_key else None
        for found in versions_newest_first(self.serving_dir):
            problems = [found.problem]
            if found.manifest is not None:
                try:
                    if not has_classes(found.folder, self.classes):
                        continue
                    problems = verify(found.folder, key, found.number).problems
                except CardError as error:
                    problems = [str(error)]
                if not problems:
                    yield found.folder, found.manifest
                    continue
            log.warning("version %d is passed over: %s", found.number, "; ".join(problems))


def note_artifact(store: mlmd.MetadataStore, artifact: types.Artifact) -> types.Artifact:
    """Notes an artifact in ML Metadata, once for each URI, as if a component had made it."""
    artifact.set_string_custom_property(ARTIFACT_TFX_VERSION_CUSTOM_PROPERTY_KEY, version.__version__)
    type_id = store.put_artifact_type(artifact.artifact_type, can_add_fields=True)
    known = [each for each in store.get_artifacts_by_uri(artifact.uri) if each.type_id == type_id]
    if known:
        artifact.set_mlmd_artifact(known[0])
    artifact.type_id = type_id
    # A change of the note would be another key of the Evaluator's cache.
    if artifact.mlmd_artifact.state != metadata_store_pb2.Artifact.LIVE:
        artifact.mlmd_artifact.state = metadata_store_pb2.Artifact.LIVE
        (artifact.id,) = store.put_artifacts([artifact.mlmd_artifact])
    return artifact
