"""Checkpoints: a training that was killed goes on where it was, and ends with the same weights.

They lie outside the component's outputs, since every attempt at an execution gets new output folders and the folders
of a failed one are removed. The name of their folder is a digest of everything that decides the weights.
"""

import hashlib
import json
import logging
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crackgate.atomic_files import whole_file
from trainer.input_pipeline import digest_examples

log = logging.getLogger("crackgate")

# Folders of other, unfinished trainings that are left alone, the latest ones.
_KEPT = 3


@dataclass(frozen=True)
class Saved:
    """A stage after one of its epochs.

    Attributes:
        variables: What the next epoch starts from: weights, random states and the optimizer's variables.
        best_weights: Weights after the epoch of the lowest eval loss so far.
        history: By measure, one value per epoch.
    """

    variables: list[np.ndarray]
    best_weights: list[np.ndarray]
    history: dict[str, list[float]]


class Checkpoint:
    """The file of one stage, which holds its last whole epoch."""

    def __init__(self, file: Path, read_only: bool = False):
        """Takes its path; with `read_only`, `save` does nothing."""
        self._file, self._read_only = file, read_only

    def save(self, saved: Saved) -> None:
        """Replaces the file at once: a kill leaves the old epoch or the new one, never a part."""
        if self._read_only:
            return
        arrays = {f"variable_{i:04d}": value for i, value in enumerate(saved.variables)}
        arrays |= {f"best_{i:04d}": value for i, value in enumerate(saved.best_weights)}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self._file) as partial, partial.open("wb") as stream:
            np.savez(stream, history=np.array(json.dumps(saved.history)), **arrays)

    def load(self) -> Saved | None:
        """The last epoch; None when there is none, or the file is damaged."""
        try:
            with np.load(self._file) as content:
                return Saved(
                    variables=[content[name] for name in sorted(content) if name.startswith("variable_")],
                    best_weights=[content[name] for name in sorted(content) if name.startswith("best_")],
                    history=json.loads(str(content["history"])),
                )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("the checkpoint %s cannot be read (%s): the stage begins anew", self._file, error)
            return None


def training_digest(
    custom_config: dict[str, Any], hyperparameters: dict[str, Any] | None, file_patterns: list[str]
) -> str:
    """SHA-256 of everything that decides the weights.

    Args:
        custom_config: The Trainer's: classes, options, digests of sources and weights. `work_dir` only says where.
        hyperparameters: What a Tuner found, or None.
        file_patterns: Globs of the stored examples.
    """
    config = {name: value for name, value in custom_config.items() if name != "work_dir"}
    decisive = [config, hyperparameters, digest_examples(file_patterns)]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


@contextmanager
def checkpoint_folder(parent: Path, digest: str, owner: bool) -> Iterator[Path]:
    """Lends the folder of one training: removed when the block ends well, left for the next attempt when it raises.

    Args:
        parent: Holds the folders of all trainings.
        digest: From `training_digest`.
        owner: Whether this process may write and remove; False for all workers but one.
    """
    if not owner:
        yield parent / digest
        return
    remove_stale(parent, digest)
    folder = parent / digest
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder)


def remove_stale(parent: Path, digest: str) -> None:
    """Removes what was left by trainings that never ended, but for the last three of them and that of `digest`."""
    others = [folder for folder in parent.glob("*") if folder.name != digest]
    for stale in sorted(others, key=lambda folder: folder.stat().st_mtime, reverse=True)[_KEPT:]:
        shutil.rmtree(stale)
