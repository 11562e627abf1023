"""Imports of what imports TensorFlow, one at a time.

The service listens before TensorFlow is there, and several threads come to need it: the one that loads a model, gRPC's,
a request's. Where one imports a package and another one a part of it at the same time, each would wait for the other;
Python lets one of them see the other's half-made module instead, and fail.
"""

import importlib
import threading
from typing import Any

_IMPORTING = threading.Lock()


def import_alone(name: str) -> Any:
    """Imports a module while no other thread imports one through here, and returns it; it may take seconds."""
    with _IMPORTING:
        return importlib.import_module(name)
