"""Versions of code, packages and data of a run."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

from crackgate.report.content import Provenance

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("crackgate", "tfx", "tensorflow", "keras", "apache-beam", "tensorflow-model-analysis", "ml-metadata")
INSTALLED = "installed package"


def read_provenance(data_fingerprint: str) -> Provenance:
    """Returns the versions of code, packages and data."""
    return Provenance(
        python=platform.python_version(),
        packages={name: importlib.metadata.version(name) for name in _PACKAGES},
        commit=read_commit(_ROOT),
        data_fingerprint=data_fingerprint,
    )


def read_commit(checkout: Path) -> str:
    """Returns the commit checked out in a folder; `INSTALLED` when the folder is not a checkout's top."""
    # Git would look further up, and find the checkout of a project that this package is installed below.
    if not (checkout / ".git").exists():
        return INSTALLED
    try:
        commit = _git(checkout, "rev-parse", "HEAD")
        changes = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown: {error}"
    return f"{commit} with changes" if changes else commit


def _git(checkout: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()
