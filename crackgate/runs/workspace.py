"""The folder that holds everything that runs write."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from crackgate.file_lock import lock_file


class WorkspaceBusyError(Exception):
    """Another run holds the workspace."""


class WorkspaceUnusableError(Exception):
    """The workspace cannot be made or written to, or TFX could not use its path."""


class WorkspaceMovedError(Exception):
    """The workspace has moved; ML Metadata holds absolute paths."""


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
        """Checkpoints that a training leaves for its next attempt."""
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
        """A run locks it until its end; it names the folder at which the workspace was made."""
        return self.root / ".lock"

    def create_run_folder(self) -> Path:
        """Makes `runs/<run id>/`; the id is the local time, with a number if that is taken."""
        started = datetime.now().strftime("%Y%m%d-%H%M%S")
        folder, number = self.runs / started, 1
        while folder.exists():
            number += 1
            folder = self.runs / f"{started}-{number}"
        folder.mkdir(parents=True)
        return folder

    @contextmanager
    def locked(self) -> Iterator[str]:
        """Keeps other runs out of the workspace until the block or the process ends; gives a warning if it cannot.

        Raises WorkspaceBusyError if another process holds it, WorkspaceMovedError if it was made elsewhere,
        WorkspaceUnusableError if it cannot be written to.
        """
        with self._opened_lock() as file:
            try:
                locks = lock_file(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WorkspaceBusyError(
                    f"another run is using {str(self.root)!r}: wait for it, or choose another --workspace"
                ) from None
            file.seek(0)
            if made_as := file.read():
                self._check_place(Path(made_as))
            else:
                file.write(str(self.root))
                file.flush()
            yield "" if locks else f"the file system of {str(self.root)!r} has no locks: let no two runs use it"

    def _opened_lock(self) -> IO[str]:
        # TFX finds artifacts by patterns.
        if set(str(self.root)) & set("[]*?"):
            raise WorkspaceUnusableError(
                f"--workspace: received {str(self.root)!r}; TFX needs a path without [ ] * ?: choose another folder"
            )
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            for folder in filter(Path.exists, (self.root, self.runs, self.logs, self.pipeline_root, self.serving)):
                if not os.access(folder, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
            return self.lock_file.open("a+", encoding="utf-8", errors="surrogateescape", newline="")
        except OSError as error:
            raise WorkspaceUnusableError(
                f"--workspace: received {str(self.root)!r}, but {error.filename!r} cannot be written to: "
                f"{error.strerror}; this user needs the right to, or choose another folder"
            ) from None

    def _check_place(self, made_as: Path) -> None:
        if made_as.exists() and made_as.samefile(self.root):
            return
        raise WorkspaceMovedError(
            f"--workspace: received {str(self.root)!r}, which was made as {str(made_as)!r}, where its artifacts are "
            "looked for: move it back, or link that path to it, or choose another --workspace"
        )

    def is_locked(self) -> bool:
        """Whether a run is going on. The check itself holds the lock briefly, which may turn away a starting run."""
        try:
            with self.lock_file.open() as file:
                lock_file(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False
