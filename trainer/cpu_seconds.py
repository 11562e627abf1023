"""CPU seconds of the parts of a training."""

import json
import time
from pathlib import Path

from crackgate.contracts.training_files import CPU_SECONDS_FILE


class CpuSeconds:
    """Counts the CPU seconds of this process, of all its threads, from part to part."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._before = time.process_time()

    def end(self, part: str) -> None:
        """Adds to a part what was spent since the last end."""
        now = time.process_time()
        self.parts[part] = self.parts.get(part, 0.0) + now - self._before
        self._before = now

    def write(self, folder: Path) -> None:
        """Writes the seconds by part as JSON."""
        (folder / CPU_SECONDS_FILE).write_text(json.dumps(self.parts, indent=2))
