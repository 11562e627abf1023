"""The product without TFX: contracts, configuration, images, releases, the model, the gate, runs and their reports."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crackgate.model.released_model import ReleasedModel

# Arrow's own allocator can crash as a process ends, in the threads of Arrow's pool (SIGSEGV in mimalloc): a run that
# released would exit with 139. The choice is read once, when pyarrow is imported, so it is made before anything else.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def load(folder: str | os.PathLike[str], engine: str = "fastest") -> "ReleasedModel":
    """Loads a released model, ready to `predict`.

    Args:
        folder: A workspace or a serving directory, whose version in production is taken; or the folder of one version.
        engine: "fastest", or "tensorflow", which the gate judged and which takes seconds to start.

    Raises:
        ValueError: There is no such release, or it is not as it was released; or there is no such engine.
        crackgate.releases.UntrustedVersionError: It is another version than its folder says, or a required signature is
            missing.
    """
    # Imported here: `import crackgate` alone stays instant.
    from crackgate.contracts.engine_choice import EngineChoice
    from crackgate.model.released_model import find_release, load_released_model
    from crackgate.releases import check_trusted

    found = find_release(folder)
    check_trusted(found)
    return load_released_model(found, EngineChoice(engine))
