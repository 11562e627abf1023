"""The graph of a functional model, read from its configuration."""

from typing import Any

import keras


def read_calls(model: keras.Model) -> dict[str, list[list[str]]]:
    """The calls of each operation in a functional model, both by name; a call is the operations whose outputs it takes.

    Operations come in the order of `model.operations`. Inputs have no calls.
    """
    layers = model.get_config()["layers"]
    return {layer["name"]: [_sources(call) for call in layer["inbound_nodes"]] for layer in layers}


def _sources(arguments: Any) -> list[str]:
    if isinstance(arguments, dict):
        if arguments.get("class_name") == "__keras_tensor__":
            return [arguments["config"]["keras_history"][0]]
        arguments = list(arguments.values())
    return [name for part in arguments for name in _sources(part)] if isinstance(arguments, (list, tuple)) else []
