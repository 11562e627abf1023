"""The SavedModel of a version: TensorFlow's decoding and scores, which the gate judged."""

import os
import threading
from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from crackgate.contracts.card import NotAReleaseError
from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.model_files import CARD_FILE, MANIFEST_FILE
from crackgate.contracts.scale import TrainedScale
from crackgate.control_groups import usable_cores
from crackgate.images.image_file import canonical_bytes
from crackgate.images.rejection import RejectedImageError
from crackgate.import_lock import import_alone
from crackgate.model.graph_operations import ForbiddenOperationError, check_operations
from crackgate.model.network import Running
from crackgate.model.outputs import as_outputs, network_function
from crackgate.releases.manifest import Manifest, ManifestError, read_manifest
from crackgate.releases.retention import held
from crackgate.releases.verification import find_altered

# Functions that the SavedModel of a release has, beside its signatures.
_FUNCTIONS = ("decode", "score_pixels")


class SavedModel:
    """A decoder and a network in one; TensorFlow takes seconds, and is imported when it is first needed."""

    engine = "TensorFlow"

    def __init__(self, folder: Path, limits: ImageLimits, scale: TrainedScale | None):
        """Takes a version's folder, and bounds on single images; raises NotAReleaseError for a broken manifest.

        Images out of `scale` are not decoded.
        """
        self._folder, self._limits, self._scale = folder, limits, scale
        # Kept: a version is verified before it is used, and TensorFlow may load it hours later.
        self._manifest = _read_manifest(folder)
        self._hold = ExitStack()
        self._find = self._hold_folder() if self._manifest is not None else lambda: folder
        self._loaded: Any = None
        self._loading = threading.Lock()
        self._readers = ThreadPoolExecutor(usable_cores(), thread_name_prefix="reading images")

    @property
    def loaded(self) -> Any:
        """TensorFlow's object, with the signatures; raises NotAReleaseError where it is altered or cannot be loaded."""
        with self._loading:
            if self._loaded is None:
                if self._manifest is not None:
                    self.check({name for name in self._manifest.files if PurePath(name).parts[0] != CARD_FILE.parts[0]})
                self._loaded = _load(self.place)
            return self._loaded

    @property
    def place(self) -> Path:
        """The version's folder by now, since a rollback moves it; raises NotAReleaseError where it was removed."""
        place = self._find()
        if not place.is_dir():
            raise NotAReleaseError(
                f"{str(self._folder)!r} was removed while it was in use: ask again, for the version in production or "
                "for one that 'crackgate versions' lists"
            )
        return place

    def check(self, names: Container[str]) -> None:
        """Raises NotAReleaseError where one of these files is not as the version's manifest says.

        A folder without a manifest was never released, and nothing is compared.
        """
        if self._manifest is not None and (problems := find_altered(self.place, self._manifest, names)):
            raise NotAReleaseError(
                f"{str(self._folder)!r} is not as it was released: {'; '.join(problems)}; see 'crackgate verify', and "
                "go back to another version with 'crackgate rollback'"
            )

    def decode(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[str]]:
        """See `Decoder`: brings each image into the form that ingest would have stored, and decodes that."""
        loaded = self.loaded
        import tensorflow as tf

        contents, faults = zip(*self._readers.map(self._stored_form, images), strict=True)
        pixels, errors = loaded.decode(tf.constant(contents))
        return pixels.numpy(), [fault or error.decode() for fault, error in zip(faults, errors.numpy(), strict=True)]

    def start(self, pixels: np.ndarray) -> Running:
        """See `Network`."""
        loaded = self.loaded
        import tensorflow as tf

        outputs = network_function(loaded)(tf.constant(pixels))
        return lambda: as_outputs(outputs)

    def _hold_folder(self) -> Callable[[], Path]:
        try:
            return self._hold.enter_context(held(self._folder))
        except OSError as error:
            raise NotAReleaseError(
                f"{str(self._folder)!r} has just been removed or withdrawn ({error}): ask again, for the version in "
                "production or for one that 'crackgate versions' lists"
            ) from None

    def _stored_form(self, image: bytes) -> tuple[bytes, str]:
        try:
            return canonical_bytes(image, self._limits, self._scale), ""
        except RejectedImageError as rejection:
            return b"", str(rejection)


def _read_manifest(folder: Path) -> Manifest | None:
    if not os.path.lexists(folder / MANIFEST_FILE):
        return None
    try:
        return read_manifest(folder)
    except ManifestError as error:
        raise NotAReleaseError(f"{error}; see 'crackgate verify'") from None


def _load(folder: Path) -> Any:
    tf = import_alone("tensorflow")
    try:
        check_operations(folder)
        loaded = tf.saved_model.load(str(folder))
    except ForbiddenOperationError as error:
        raise NotAReleaseError(str(error)) from None
    # TensorFlow raises many types: a missing file, a damaged one, an operation that it has not.
    except Exception as error:
        raise NotAReleaseError(f"the SavedModel in {str(folder)!r} cannot be loaded: {error}") from error
    if missing := [name for name in _FUNCTIONS if not hasattr(loaded, name)]:
        raise NotAReleaseError(
            f"the SavedModel in {str(folder)!r} has no function {' and no '.join(map(repr, missing))}: crackgate did "
            "not train it; give a model that it trained"
        )
    return loaded
