"""An executor that stops half-way, so that a test can pull the rug from under it."""

import os
import time
from pathlib import Path
from typing import Any

from tfx.types import artifact_utils

from components.curated_schema.executor import CuratedSchemaExecutor
from components.shared.parameters import Properties

# Names a folder: the executor writes `started` there, and goes on when there is `go`.
GATE = "SLOW_SCHEMA_GATE"
HALF = "half-written"


class SlowSchemaExecutor(CuratedSchemaExecutor):
    """Leaves a file in its output before it waits, and removes it after."""

    def Do(  # noqa: N802 - TFX's name
        self, input_dict: dict[str, list[Any]], output_dict: dict[str, list[Any]], exec_properties: Properties
    ) -> None:
        gate = Path(os.environ[GATE])
        folder = Path(artifact_utils.get_single_uri(output_dict["schema"]))
        assert not list(folder.iterdir()), "an earlier attempt left something behind"
        (folder / HALF).write_text("half")
        (gate / "started").touch()
        while not (gate / "go").exists():
            time.sleep(0.05)
        (folder / HALF).unlink()
        super().Do(input_dict, output_dict, exec_properties)
