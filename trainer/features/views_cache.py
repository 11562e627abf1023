"""A cache of views on disk, from one training to the next."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from crackgate.atomic_files import whole_folder
from trainer.features.views import Views

log = logging.getLogger("crackgate")

_FEATURES, _LABELS, _ACTIVATIONS = "features.npy", "labels.npy", "activations.npy"


class ViewsCache:
    """A folder of views by their origin. Entries are complete or absent, whenever the process ends."""

    def __init__(self, folder: Path):
        """Takes the folder; it need not exist."""
        self._folder = folder
        self._used: set[str] = set()

    def get(self, origin: dict[str, Any], cut: str | None, compute: Callable[[Path | None], Views]) -> Views:
        """Returns the views of an origin, mapped read-only; `compute` makes absent ones, given a path for activations.

        `origin` is all that decides the features, as JSON. `cut` names the layer of the activations; None needs none.
        """
        digest = hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()[:24]
        entry = self._find(digest, cut)
        if entry is None:
            entry = self._folder / f"{digest}-{_name(cut)}"
            self._write(entry, cut, compute)
        else:
            log.info("using the backbone's outputs of an earlier training: %s", entry)
        self._used.add(entry.name)
        return Views(
            np.load(entry / _ACTIVATIONS, mmap_mode="r") if cut else None,
            np.load(entry / _FEATURES, mmap_mode="r"),
            np.load(entry / _LABELS),
        )

    def prune(self) -> None:
        """Removes every entry that was not used since this object was made, and what a killed process left."""
        for entry in self._folder.iterdir():
            if entry.name not in self._used:
                shutil.rmtree(entry)

    def _find(self, digest: str, cut: str | None) -> Path | None:
        # The cut of the activations does not change the features.
        pattern = f"{digest}-{_name(cut)}" if cut else f"{digest}-*"
        return next(self._folder.glob(pattern), None)

    def _write(self, entry: Path, cut: str | None, compute: Callable[[Path | None], Views]) -> None:
        with whole_folder(entry) as partial:
            computed = compute(partial / _ACTIVATIONS if cut else None)
            np.save(partial / _FEATURES, computed.features)
            np.save(partial / _LABELS, computed.labels)


def _name(cut: str | None) -> str:
    return hashlib.sha256(cut.encode()).hexdigest()[:8] if cut else "features"
