"""Artifacts that are used as folders of this machine: a model that is loaded, signed or copied whole."""

from pathlib import Path

from crackgate.storage.location import is_url


def local_path(uri: str) -> Path:
    """The path of an artifact; raises ValueError where the pipeline's root is the URL of a store."""
    if is_url(uri):
        raise ValueError(
            f"the artifact is at {uri!r}, and this component loads, signs or publishes files of this machine: give the "
            "pipeline a root on a file system that its components share"
        )
    return Path(uri)
