"""A configuration as commented TOML, which `--config` reads."""

import json
import re
from collections.abc import Callable
from textwrap import wrap
from typing import Any

from crackgate.config.configuration import Config
from crackgate.config.reference import FieldReference, read_sections

_WIDTH = 100
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def write_document(config: Config, heading: str, remark: Callable[[FieldReference], str] = lambda _: "") -> str:
    """Returns all fields with meaning, unit, bounds and default; `remark` gives a comment behind a field's value."""
    lines = _comment(heading)
    for section in read_sections(config):
        lines += ["", *_comment(section.description), f"[{section.name}]"]
        for field in section.fields:
            bounds = f"({field.allowed}; default {say_value(field.default)})"
            lines += _comment(f"{field.description} {bounds}".strip())
            for part in field.parts:
                lines += _comment(part, indent="  ")
            said = remark(field)
            key = field.name.rpartition(".")[2]
            lines.append(f"{key} = {say_value(field.value)}" + (f"  # {said}" if said else ""))
    return "\n".join(lines) + "\n"


def say_value(value: Any) -> str:
    """Returns a value as TOML on one line: text, numbers, booleans, lists and tables of them."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(key)} = {say_value(each)}" for key, each in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(say_value, value))}]"
    # JSON's text is TOML's, but for the character DEL; so are its numbers.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else say_value(name)


def _comment(text: str, indent: str = "") -> list[str]:
    lines = wrap(text, _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
    return [f"# {indent}{line}" for line in lines]
