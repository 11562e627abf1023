"""The imports of a task: one that needs no TensorFlow does not pay for it."""

import importlib.util
import sys
from types import ModuleType

# The nodes whose work needs neither TensorFlow nor TFX's own components: they read and write files of ours.
_WITHOUT_TENSORFLOW = ("CuratedSchema", "ReleasedStatisticsResolver", "BaselineResolver")


def import_launcher(node: str) -> None:
    """Imports TFX's launcher, without TensorFlow, TFDV and TFMA where the node can do without them.

    It is for a process that runs this one node: it may leave `tfx.components` without the names of its `__init__`.
    """
    if node not in _WITHOUT_TENSORFLOW:
        return
    # Its __init__ imports every component; as a namespace it still has their modules.
    spec = importlib.util.find_spec("tfx.components")
    components = ModuleType("tfx.components")
    components.__spec__, components.__path__ = spec, list(spec.submodule_search_locations or ()) if spec else []
    sys.modules["tfx.components"] = components
    # TFX does without TensorFlow where there is none, as in its package ml-pipelines-sdk: files are then Python's.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        importlib.import_module("tfx.orchestration.portable.launcher")
    finally:
        del sys.modules["tensorflow"]
