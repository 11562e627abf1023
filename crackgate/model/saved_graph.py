"""The protocol buffer of a SavedModel: read without loading the model, so that nothing in it runs."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crackgate.regular_file import open_regular

# https://protobuf.dev/programming-guides/proto-limits/
_MOST_BYTES = 2**31 - 1


def read_saved_model(folder: Path) -> Any:
    """The `SavedModel` message of a folder; raises OSError and google.protobuf's DecodeError."""
    # TensorFlow takes seconds to import.
    from tensorflow.core.protobuf import saved_model_pb2

    file = folder / "saved_model.pb"
    with open_regular(file, follow_links=True) as content:
        if os.fstat(content.fileno()).st_size > _MOST_BYTES:
            raise OSError(errno.EFBIG, "it is larger than any protocol buffer", str(file))
        return saved_model_pb2.SavedModel.FromString(content.read())


def called_functions(nodes: Iterable[Any]) -> set[str]:
    """Names of the functions that nodes call."""
    values = [value for node in nodes for value in node.attr.values()]
    return {function.name for value in values for function in (value.func, *value.list.func) if function.name}
