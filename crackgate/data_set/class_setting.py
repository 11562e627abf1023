"""The option that names the classes, as a message shows it."""

import json
import shlex
from collections.abc import Mapping, Sequence


def class_setting(classes: Sequence[str] | Mapping[str, Sequence[str]]) -> str:
    """`--set data.classes=...`, quoted for a shell, for class folders or for the folders of each class.

    It is "" where `data.classes` would refuse them: for fewer than two, and for a class without a folder.
    """
    if len(classes) < 2 or (isinstance(classes, Mapping) and not all(classes.values())):
        return ""
    if isinstance(classes, Mapping):
        value = "{" + ", ".join(f"{_quoted(name)} = {_array(folders)}" for name, folders in classes.items()) + "}"
    else:
        value = _array(classes)
    return "--set " + shlex.quote(f"data.classes={value}")


def _array(names: Sequence[str]) -> str:
    return "[" + ", ".join(map(_quoted, names)) + "]"


def _quoted(text: str) -> str:
    """A string of TOML, which escapes as JSON does, but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
