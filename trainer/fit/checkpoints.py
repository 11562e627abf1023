"""Checkpoints: a killed training resumes after its last epoch; they outlive TFX's removal of failed outputs."""

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

# Folders of other, unfinished trainings that are kept, the latest ones.
_KEPT = 3


@dataclass(frozen=True)
class Saved:
    """A stage after one of its epochs.

    `variables` start the next epoch: weights, random states and the optimizer's. `best_weights` had the lowest eval
    loss. `history` has one value per epoch, by measure.
    """

    variables: list[np.ndarray]
    best_weights: list[np.ndarray]
    history: dict[str, list[float]]


class Checkpoint:
    """The file of one stage, which holds its last whole epoch."""

    def __init__(self, file: Path, read_only: bool = False):
        """Takes the file's path; with `read_only`, `save` does nothing."""
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
        """The last epoch; None when there is none, or when the file is damaged."""
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
            log.warning("cannot read the checkpoint %s (%s): the stage starts again", self._file, error)
            return None


def training_digest(
    custom_config: dict[str, Any], hyperparameters: dict[str, Any] | None, file_patterns: list[str]
) -> str:
    """SHA-256 of everything that decides the weights; `work_dir` in `custom_config` does not."""
    config = {name: value for name, value in custom_config.items() if name != "work_dir"}
    decisive = [config, hyperparameters, digest_examples(file_patterns)]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


@contextmanager
def checkpoint_folder(parent: Path, digest: str, owner: bool) -> Iterator[Path]:
    """Gives the folder of one training: removed when the block ends, kept for the next attempt when it raises.

    Only the `owner` writes and removes: one of several workers.
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
    """Removes the folders of unfinished trainings, except the last three and the one of `digest`."""
    others = [folder for folder in parent.glob("*") if folder.name != digest]
    for stale in sorted(others, key=lambda folder: folder.stat().st_mtime, reverse=True)[_KEPT:]:
        shutil.rmtree(stale)
