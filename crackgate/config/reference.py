"""Every field of the configuration with its bounds, default and meaning, read off the models."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from crackgate.config.configuration import Config


@dataclass(frozen=True)
class FieldReference:
    """One field, such as "gate.min_recall".

    `value` and `default` are as JSON has them; `allowed` says type and bounds in words, `description` meaning and unit.
    `parts` says the same of the fields of a table, where the field is a list or table of such.
    """

    name: str
    value: Any
    default: Any
    allowed: str
    description: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class SectionReference:
    """A section, such as "gate.slices", and its own fields without those of sections in it."""

    name: str
    description: str
    fields: list[FieldReference]


def read_sections(config: Config) -> list[SectionReference]:
    """Returns all sections in the order of a TOML file."""
    return list(_sections(config, Config(), "", ""))


def _sections(section: BaseModel, defaults: BaseModel, path: str, description: str) -> Iterator[SectionReference]:
    model = type(section)
    named = {key: (field, f"{path}{field.alias or key}") for key, field in model.model_fields.items()}
    inner = {key: value for key, value in named.items() if isinstance(getattr(section, key), BaseModel)}
    fields = [
        FieldReference(
            name=name,
            value=_plain(getattr(section, key)),
            default=_plain(getattr(defaults, key)),
            allowed=_say_allowed(field),
            description=field.description or "",
            parts=tuple(f"{part}: {_say_part(each)}" for part, each in _fields_of_items(field.annotation)),
        )
        for key, (field, name) in named.items()
        if key not in inner
    ]
    if fields:
        summary = (model.__doc__ or "").partition("\n")[0].rstrip(".")
        yield SectionReference(path.removesuffix("."), description or summary, fields)
    for key, (field, name) in inner.items():
        yield from _sections(getattr(section, key), getattr(defaults, key), f"{name}.", field.description or "")


def _plain(value: Any) -> Any:
    """The value without what nobody set: for a task's options, a default is not the same as nothing."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _fields_of_items(annotation: Any) -> Iterator[tuple[str, FieldInfo]]:
    """The fields of the tables that a list or a table holds."""
    for inner in get_args(annotation):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from ((field.alias or key, field) for key, field in inner.model_fields.items())


def _say_part(field: FieldInfo) -> str:
    return f"{field.description or ''} ({_say_allowed(field)})".strip()


def _say_allowed(field: FieldInfo) -> str:
    words, bounds = _say_type(field.annotation), {type(each): each for each in field.metadata}
    low = bounds.get(Ge, bounds.get(Gt))
    high = bounds.get(Le, bounds.get(Lt))
    if isinstance(low, Ge) and isinstance(high, Le):
        return f"{words}, {low.ge:,} to {high.le:,}"
    said = [f"at least {low.ge:,}"] if isinstance(low, Ge) else [f"above {low.gt:,}"] if isinstance(low, Gt) else []
    said += [f"at most {high.le:,}"] if isinstance(high, Le) else [f"below {high.lt:,}"] if isinstance(high, Lt) else []
    return ", ".join([words, *said])


_WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}


def _say_type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _say_type(inner[0])
    if origin is Literal:
        *others, last = map(json.dumps, inner)
        return f"{', '.join(others)} or {last}"
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_say_type(each) for each in inner if each is not NoneType))
    if origin is tuple:
        return f"list of {_say_type(inner[0])}"
    if origin is dict:
        return f"table of {_say_type(inner[1]).replace('list', 'lists')}"
    return _WORDS.get(annotation, "tables")
