"""A user's request for a run on this machine."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from crackgate.config.configuration import Config
from crackgate.runs.workspace import Workspace


@dataclass(frozen=True)
class RunRequest:
    """A run that is to be made.

    Attributes:
        console: Not standard output itself, which is redirected to the log file during the run.
        data: Absolute path of the image folder.
        config: The configuration.
        workspace: Receives everything that is written.
        enable_cache: Whether components may take over outputs of earlier runs.
        verbose: Whether every log line is shown on the terminal.
    """

    console: Console
    data: Path
    config: Config
    workspace: Workspace
    enable_cache: bool = True
    verbose: bool = False
