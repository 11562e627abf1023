"""Imports of modules that import TensorFlow, one at a time: side by side, one may see the other's half-made module."""

import importlib
import threading
from typing import Any

_IMPORTING = threading.Lock()


def import_alone(name: str) -> Any:
    """Imports a module while no other thread does so through here, and returns it; it may take seconds."""
    with _IMPORTING:
        return importlib.import_module(name)
