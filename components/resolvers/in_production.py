"""The releases that were not rolled back."""

from pathlib import Path

from tfx import types

from crackgate.contracts.pushed_model import PUSHED, PUSHED_DESTINATION, PUSHED_VERSION
from crackgate.releases import State, find_version


def find_releases(pushed_models: list[types.Artifact]) -> list[types.Artifact]:
    """Returns the releases that are not withdrawn, the newest first; versions that retention removed still count."""
    released = [artifact for artifact in pushed_models if artifact.get_int_custom_property(PUSHED)]
    standing = [artifact for artifact in released if not _is_withdrawn(artifact)]
    return sorted(standing, key=lambda artifact: (_version(artifact), artifact.id), reverse=True)


def _is_withdrawn(pushed: types.Artifact) -> bool:
    folder = Path(pushed.get_string_custom_property(PUSHED_DESTINATION))
    version = find_version(folder.parent, _version(pushed))
    return version is not None and version.state == State.WITHDRAWN


def _version(pushed: types.Artifact) -> int:
    return int(pushed.get_string_custom_property(PUSHED_VERSION))
