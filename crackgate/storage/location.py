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
# Also an access point of S3, by its ARN; Azure's own containers begin with "$".
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]*|arn:[A-Za-z0-9:._-]+")
# What Path makes of a URL.
_FLATTENED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/[^/]")


def is_url(location: Location) -> bool:
    """Whether a location is a URL and no path."""
    return isinstance(location, str) and _URL.match(location) is not None


def looks_like_url(path: Location) -> bool:
    """Whether a path was written as a URL, also where `Path` has dropped a slash since."""
    return is_url(path) or _FLATTENED.match(str(path)) is not None


def parse_location(text: str) -> Location:
    """An absolute path, or a URL without slashes at its end; raises ValueError for nothing and for other URLs."""
    match = _URL.match(text)
    if match is None:
        if _FLATTENED.match(text):
            raise ValueError(f"allowed are a path, {FORMS}: is a slash missing?")
        if not text or "://" in text:
            raise ValueError(f"allowed are a path, {FORMS}")
        return Path(text).resolve()
    scheme, place = match[1].lower(), text[match.end() :].rstrip("/")
    bucket = place.partition("/")[0]
    if scheme not in EXTRAS or not bucket:
        raise ValueError(f"allowed are a path, {FORMS}")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(
            f"allowed are {FORMS} with a bucket of letters, digits, '-', '_' and '.': a store's address and its "
            "credentials have settings of their own (docs/data.md)"
        )
    return f"{scheme}://{place}"


def split_url(url: str) -> tuple[str, str]:
    """The scheme, and what follows: the bucket, a slash and the key, byte by byte as the store has it."""
    scheme, _, place = url.partition("://")
    return scheme, place


def below(folder: Location, path: str) -> Location:
    """The location of `path`, which is relative to `folder`; a key may begin with a slash or hold "//" and ".."."""
    return f"{folder}/{path}" if is_url(folder) else os.path.join(folder, path)
