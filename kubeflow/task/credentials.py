"""The Secret with the credentials of the bucket that holds the images."""

import os
import re
from collections.abc import MutableMapping
from pathlib import Path

from crackgate.config.kubeflow import DATA_SECRET_FOLDER

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


def take_credentials(
    folder: Path = Path(DATA_SECRET_FOLDER), environment: MutableMapping[str, str] = os.environ
) -> None:
    """Sets an environment variable for each key of the mounted Secret that has the name of one; others stay files."""
    if folder.is_dir():
        for file in folder.iterdir():
            if _VARIABLE.fullmatch(file.name) and file.is_file():
                environment[file.name] = file.read_text(encoding="utf-8").rstrip("\n")
