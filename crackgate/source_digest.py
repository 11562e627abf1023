"""Digests of our own source code, for TFX's cache: it hashes options and inputs, but not the code that ran."""

import hashlib
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def source_digest(*paths: str) -> str:
    """SHA-256 over the Python files at or below `paths`, given relative to the project ("trainer", ...)."""
    digest = hashlib.sha256()
    for path in paths:
        top = _ROOT / path
        for file in sorted(top.rglob("*.py")) if top.is_dir() else [top]:
            digest.update(file.relative_to(_ROOT).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
