"""Imports of modules that import TensorFlow, one at a time.

Several threads import it while the service listens already. When one imports a package and another a part of it at the
same time, Python lets one of them see the other's half-made module, and fail.
"""

import importlib
import threading
from typing import Any

_IMPORTING = threading.Lock()


def import_alone(name: str) -> Any:
    """Imports a module while no other thread does so through here, and returns it; it may take seconds."""
    with _IMPORTING:
        return importlib.import_module(name)
