"""Models that no Trainer of this pipeline made, as artifacts."""

import shutil
from pathlib import Path

from tfx.utils import path_utils

from crackgate.atomic_files import whole_folder


def copy_as_artifact(model: Path, artifact: Path) -> Path:
    """Copies a SavedModel to where TFX looks for it in the folder of an artifact, unless it is there, and returns that.

    `artifact` names the content: TFX evaluates again only when the path changes, and the original may be written over.
    """
    if not artifact.exists():
        with whole_folder(artifact) as partial:
            shutil.copytree(model, path_utils.serving_model_dir(str(partial)))
    return artifact
