"""The protocol buffer of a SavedModel: read without loading the model, so that nothing in it runs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any


def read_saved_model(folder: Path) -> Any:
    """The `SavedModel` message of a folder; raises OSError and google.protobuf's DecodeError."""
    # TensorFlow takes seconds to import.
    from tensorflow.core.protobuf import saved_model_pb2

    return saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())


def called_functions(nodes: Iterable[Any]) -> set[str]:
    """Names of the functions that nodes call."""
    values = [value for node in nodes for value in node.attr.values()]
    return {function.name for value in values for function in (value.func, *value.list.func) if function.name}
