"""Paths and URLs of folders and files."""

import os
import re
from pathlib import Path

# The path of a folder or file, or the URL of an object or of a prefix, which is always a str: a Path drops a slash.
Location = Path | str

# The extra with each scheme's client.
EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure"}
FORMS = "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
# What Path makes of a URL.
_FLATTENED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/[^/]")


def is_url(location: Location) -> bool:
    """Whether a location is a URL and no path."""
    return isinstance(location, str) and _URL.match(location) is not None


def looks_like_url(path: Location) -> bool:
    """Whether a path was written as a URL, also where `Path` has dropped a slash since."""
    return is_url(path) or _FLATTENED.match(str(path)) is not None


def parse_location(text: str) -> Location:
    """An absolute path, or a URL without slashes at its end; raises ValueError for a URL that no client reads."""
    match = _URL.match(text)
    if match is None:
        if _FLATTENED.match(text):
            raise ValueError(f"allowed are a path, {FORMS}: is a slash missing?")
        return Path(text).resolve()
    scheme, place = match[1].lower(), text[match.end() :].rstrip("/")
    if scheme not in EXTRAS or not place or place.startswith("/"):
        raise ValueError(f"allowed are a path, {FORMS}")
    return f"{scheme}://{place}"


def split_url(url: str) -> tuple[str, str]:
    """The scheme, and what follows: the bucket, a slash and the key, byte by byte as the store has it."""
    scheme, _, place = url.partition("://")
    return scheme, place


def below(folder: Location, path: str) -> Location:
    """The location of `path`, which is relative to `folder`; a key may begin with a slash or hold "//" and ".."."""
    return f"{folder}/{path}" if is_url(folder) else os.path.join(folder, path)
