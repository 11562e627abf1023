"""Where a task's log goes: to the pod's log what matters, to the workspace, which outlives the pod, all of it."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from absl import logging as absl_logging

from crackgate.runs.workspace import Workspace
from kubeflow.task.run_folders import log_folder

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def logged_to_workspace(workspace: Workspace, run_id: str, task: str) -> Iterator[None]:
    """Writes every record to `logs/<run id>/<task>.log`, and warnings and our own progress to standard error."""
    file = log_folder(workspace, run_id) / f"{task}.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    absl_logging.set_verbosity(absl_logging.INFO)
    to_file = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    to_pod = logging.StreamHandler(sys.stderr)
    to_pod.addFilter(lambda record: record.name == "crackgate" or record.levelno >= logging.WARNING)
    for handler in (to_file, to_pod):
        handler.setFormatter(logging.Formatter(_FORMAT))
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers = [to_file, to_pod]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers = before
        root.setLevel(level)
        to_file.close()
