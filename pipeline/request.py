"""A user's request for a run on this machine."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.console import Console

from crackgate.config.configuration import Config
from crackgate.runs.notes import RunNotes
from crackgate.runs.workspace import Workspace
from crackgate.storage.location import Location
from pipeline.progress import print_warning


@dataclass(frozen=True)
class RunRequest:
    """A run that is to be made from an image folder, `data`: an absolute path, or a URL.

    `console` is not standard output itself, which is redirected to the log file during the run. With `enable_cache`,
    components may take over outputs of earlier runs. With `verbose`, the terminal shows every log line. `notes` are the
    run's name and tags. `began` is when the user's command began, in seconds since 1970.
    """

    console: Console
    data: Location
    config: Config
    workspace: Workspace
    enable_cache: bool = True
    verbose: bool = False
    notes: RunNotes = field(default_factory=RunNotes)
    began: float = field(default_factory=time.time)

    def warn(self, sentences: Iterable[str]) -> None:
        """Prints warnings, one a line."""
        for sentence in sentences:
            print_warning(self.console, sentence)
