"""The released statistics that a run's are compared with."""

import logging
from pathlib import Path

import ml_metadata as mlmd
from tfx import types
from tfx.dsl.components.common import resolver
from tfx.types import artifact_utils, standard_artifacts

from components.resolvers.released_versions import ReleasedVersions, note_artifact
from components.shared.local_artifact import serving_path
from crackgate.contracts.model_files import STATISTICS_FOLDER

log = logging.getLogger("crackgate")


class ReleasedStatisticsStrategy(resolver.ResolverStrategy):
    """Finds the statistics that the version in production keeps of its images.

    They may be equal to this run's: images that were released do not differ from the last release.
    The input is `statistics`.
    """

    def __init__(self, serving_dir: str, classes: list[str], public_key: str):
        """See `ReleasedVersions`."""
        self._versions = ReleasedVersions(serving_path(serving_dir), classes, public_key)

    def resolve_artifacts(
        self,
        store: mlmd.MetadataStore,
        input_dict: dict[str, list[types.Artifact]],  # noqa: ARG002 - TFX gives all there ever were
    ) -> dict[str, list[types.Artifact]]:
        """Returns at most one artifact of `statistics`."""
        for folder, manifest in self._versions.newest_first():
            kept = [Path(name) for name in manifest.files if Path(name).is_relative_to(STATISTICS_FOLDER)]
            if kept:
                artifact = standard_artifacts.ExampleStatistics()
                artifact.uri = str(folder / STATISTICS_FOLDER)
                artifact.split_names = artifact_utils.encode_split_names(
                    sorted({file.relative_to(STATISTICS_FOLDER).parts[0].removeprefix("Split-") for file in kept})
                )
                return {"statistics": [note_artifact(store, artifact)]}
            log.warning("version %s keeps no statistics of its images: no drift from them can be found", folder.name)
            break
        return {"statistics": []}
