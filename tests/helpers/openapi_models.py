"""Strict validation by the classes that Kubernetes' Python clients generate from OpenAPI schemas."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

_PRIMITIVES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": (int, float),
    "datetime": (str, datetime),
    "object": object,
}


def problems(value: Any, type_name: str, find_model: Callable[[str], Any], path: str = "") -> Iterator[str]:
    """What the API server would refuse: unknown fields, wrong types, missing fields.

    Args:
        value: Parsed YAML.
        type_name: As the generated classes write it: "str", "list[V1Container]", "V1PodSpec".
        find_model: Returns the generated class of that name.
        path: Of the value in its manifest, for the messages.
    """
    if type_name in _PRIMITIVES:
        expected = _PRIMITIVES[type_name]
        if not isinstance(value, expected) or (isinstance(value, bool) and type_name in ("int", "float")):
            yield f"{path}: {value!r} is no {type_name}"
    elif container := re.fullmatch(r"(list|dict)[\[(](?:str, )?(.+)[\])]", type_name):
        kind, inner = container.groups()
        if not isinstance(value, {"list": list, "dict": dict}[kind]):
            yield f"{path}: {value!r} is no {kind}"
            return
        for key, item in enumerate(value) if kind == "list" else value.items():
            yield from problems(item, inner, find_model, f"{path}[{key}]")
    else:
        yield from _problems_of_model(value, find_model(type_name), find_model, path)


def _problems_of_model(value: Any, model: Any, find_model: Callable[[str], Any], path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no {model.__name__}"
        return
    attributes = {name: attribute for attribute, name in model.attribute_map.items()}
    for name, item in value.items():
        if name not in attributes:
            yield f"{path}.{name}: {model.__name__} has no such field"
        else:
            yield from problems(item, model.openapi_types[attributes[name]], find_model, f"{path}.{name}")
    try:
        # The classes know what must not be missing, and which values are allowed.
        model(**{attributes[name]: item for name, item in value.items() if name in attributes})
    except ValueError as error:
        yield f"{path}: {error}"
