"""A task's log: all of it in the workspace, the main records in the pod's log."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from crackgate.runs.log_file import LOG_FORMAT, log_to_handlers
from crackgate.runs.workspace import Workspace
from kubeflow.task.run_folders import log_folder


@contextmanager
def log_to_workspace(workspace: Workspace, run_id: str, task: str) -> Iterator[None]:
    """Writes every record to `logs/<run id>/<task>.log`; warnings and our progress also go to standard error."""
    to_pod = logging.StreamHandler(sys.stderr)
    to_pod.addFilter(lambda record: record.name == "crackgate" or record.levelno >= logging.WARNING)
    to_pod.setFormatter(LOG_FORMAT)
    with log_to_handlers(log_folder(workspace, run_id) / f"{task}.log", to_pod):
        yield
