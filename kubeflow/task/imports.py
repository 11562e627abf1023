"""The imports of a task: it pays for what its own node works with, and not for TFX's other components."""

import importlib.util
import sys
from types import ModuleType

from pipeline.heavy_imports import garbage_collection_paused

# Its executor needs names that the __init__ of `tfx.components` adds to TFMA.
_NEEDS_ALL = "Evaluator"


def import_launcher(node: str) -> None:
    """Imports TFX's launcher without TensorFlow, TFDV and TFMA: the executor of a node imports what it works with.

    It is for the process of one task: it leaves `tfx.components` without the names of its `__init__`.
    """
    if node == _NEEDS_ALL:
        return
    # Its __init__ imports every component; as a namespace it still has their modules.
    spec = importlib.util.find_spec("tfx.components")
    components = ModuleType("tfx.components")
    components.__spec__, components.__path__ = spec, list(spec.submodule_search_locations or ()) if spec else []
    sys.modules["tfx.components"] = components
    # TFX does without TensorFlow where there is none, as in its package ml-pipelines-sdk: files are then Python's.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        with garbage_collection_paused():
            importlib.import_module("tfx.orchestration.portable.launcher")
    finally:
        del sys.modules["tensorflow"]
