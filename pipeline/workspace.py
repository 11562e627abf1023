"""The one folder that everything written by runs lives in."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


def write_whole(file: Path, text: str) -> None:
    """Writes a text file, complete or not at all."""
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)


class WorkspaceBusyError(Exception):
    """Another run holds the workspace."""


@dataclass(frozen=True)
class Workspace:
    """Paths below `root`, which is absolute."""

    root: Path

    @property
    def serving(self) -> Path:
        """Released models, one numbered folder each, as TensorFlow Serving expects them."""
        return self.root / "serving"

    @property
    def pipeline_root(self) -> Path:
        """Artifacts of every component."""
        return self.root / "pipeline"

    @property
    def metadata_file(self) -> Path:
        """The ML Metadata store (SQLite)."""
        return self.root / "metadata.sqlite"

    @property
    def gated(self) -> Path:
        """Copies of the models that `crackgate gate` judged."""
        return self.root / "gated"

    @property
    def trainer_work(self) -> Path:
        """What a training leaves for its next attempt."""
        return self.root / "trainer"

    @property
    def logs(self) -> Path:
        """One log file for each run."""
        return self.root / "logs"

    @property
    def runs(self) -> Path:
        """One folder for each run, with its summary."""
        return self.root / "runs"

    @property
    def lock_file(self) -> Path:
        """Held by a run as long as it lasts."""
        return self.root / ".lock"

    def create_run_folder(self) -> Path:
        """Makes `runs/<run id>/`; the id is the local time, numbered where that is taken."""
        started = datetime.now().strftime("%Y%m%d-%H%M%S")
        folder, number = self.runs / started, 1
        while folder.exists():
            number += 1
            folder = self.runs / f"{started}-{number}"
        folder.mkdir(parents=True)
        return folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs out of the workspace; the lock ends with the process, however it ends.

        Raises:
            WorkspaceBusyError: Another process holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with self.lock_file.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WorkspaceBusyError(
                    f"another run is using {str(self.root)!r}: wait for it, or choose another --workspace"
                ) from None
            yield

    def is_locked(self) -> bool:
        """Whether a run is going on. Asking holds the lock for a moment, and turns away a run that begins just then."""
        try:
            with self.lock_file.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False
