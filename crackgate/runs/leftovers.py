"""Artifacts of runs to which no version in the serving directory traces back."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crackgate.releases import list_versions
from crackgate.runs.lineage import MetadataError, Record, mark_stale, read_record
from crackgate.runs.workspace import Workspace

# In the pipeline's root: <component>/<output>/<execution>.
_DEPTH = 3
# TFX's own notes of executions, beside a component's outputs; without a run that goes on nobody reads them.
_SYSTEM = ".system"


@dataclass(frozen=True)
class Leftover:
    """A folder or file that may go, and the size of its files in bytes; `owner` is its component, or "gate"."""

    owner: str
    path: Path
    bytes: int


def find_leftovers(workspace: Workspace) -> list[Leftover]:
    """Finds all artifacts but those of runs that released a version, and those that these runs took over.

    Withdrawn versions count, too, as long as they are there. Copies of models that `crackgate gate` judged may always
    go. Hold the workspace's lock.

    Raises:
        MetadataError: ML Metadata cannot be read.
        ManifestError: The record of a withdrawal is unreadable.
    """
    kept = set(_kept(workspace, read_record(workspace.metadata_file)))
    found = [
        Leftover(path.parts[len(workspace.pipeline_root.parts)], path, _size(path))
        for path in _artifacts(workspace.pipeline_root)
        if path not in kept
    ]
    return found + [Leftover("gate", path, _size(path)) for path in _entries(workspace.gated)]


def remove_leftovers(workspace: Workspace, leftovers: list[Leftover]) -> list[str]:
    """Removes them, notes that in ML Metadata, and returns a sentence for whatever could not be done."""
    problems = []
    for leftover in leftovers:
        try:
            if leftover.path.is_dir() and not leftover.path.is_symlink():
                shutil.rmtree(leftover.path)
            else:
                leftover.path.unlink()
        except OSError as error:
            problems.append(f"cannot remove {str(error.filename or leftover.path)!r}: {error.strerror}")
    try:
        mark_stale(workspace.metadata_file)
    except MetadataError as error:
        problems.append(str(error))
    return problems


def _kept(workspace: Workspace, record: Record) -> Iterator[Path]:
    for version in list_versions(workspace.serving):
        executions = record.runs.get(version.manifest.lineage.run_id, {}) if version.manifest else {}
        traced = record.trace(executions["Pusher"]) if "Pusher" in executions else []
        for execution in (*executions.values(), *traced):
            for artifact in (artifact for artifacts in execution.outputs.values() for artifact in artifacts):
                path = Path(artifact.uri)
                if path.is_relative_to(workspace.pipeline_root):
                    inside = path.relative_to(workspace.pipeline_root).parts[:_DEPTH]
                    yield workspace.pipeline_root.joinpath(*inside)


def _artifacts(root: Path) -> Iterator[Path]:
    for component in _entries(root):
        for output in _entries(component):
            if output.name == _SYSTEM:
                yield output
            else:
                yield from _entries(output)


def _entries(folder: Path) -> list[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(folder.iterdir())


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(os.lstat(os.path.join(parent, name)).st_size for parent, _, files in os.walk(path) for name in files)
