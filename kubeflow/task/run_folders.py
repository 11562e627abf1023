"""Folders that the tasks of one run write to, besides TFX's artifacts."""

from pathlib import Path

from crackgate.runs.workspace import Workspace


def records_folder(workspace: Workspace, run_id: str) -> Path:
    """Records of how each node ended, for the report."""
    return workspace.runs / run_id / "nodes"


def log_folder(workspace: Workspace, run_id: str) -> Path:
    """The logs of its tasks."""
    return workspace.logs / run_id


def work_folder(workspace: Workspace, run_id: str) -> Path:
    """Files that its tasks need until it ends."""
    return workspace.root / "work" / run_id
