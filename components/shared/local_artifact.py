"""Artifacts and releases that are used as folders of this machine: they are loaded, signed or copied whole."""

from pathlib import Path

from crackgate.storage.location import is_url, looks_like_url


def local_path(uri: str) -> Path:
    """The path of an artifact; raises ValueError where the pipeline's root is the URL of a store."""
    if is_url(uri):
        raise ValueError(
            f"the artifact is at {uri!r}, and this component loads, signs or publishes files of this machine: give the "
            "pipeline a root on a file system that its components share"
        )
    return Path(uri)


def serving_path(serving_dir: Path | str) -> Path:
    """The path of a serving directory; raises ValueError for a URL, of which `Path` would make another name."""
    path = Path(serving_dir)
    if looks_like_url(path) or not path.is_absolute():
        raise ValueError(
            f"serving_dir: received {str(serving_dir)!r}; allowed is an absolute path: whole folders are replaced "
            "there, which no object store can"
        )
    return path
