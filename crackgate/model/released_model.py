"""A released model: decodes as training did, scores by the fastest engine that agrees with its SavedModel."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crackgate.contracts.answer import Answer
from crackgate.contracts.card import NotAReleaseError, ReleaseCard, read_card
from crackgate.contracts.engine_choice import EngineChoice
from crackgate.contracts.model_files import MODEL_VERSION_FILE, UNFAMILIARITY_TOLERANCE
from crackgate.images.acceptance import size_in_header
from crackgate.images.rejection import RejectedImageError
from crackgate.model.decision import Decision, decide, positive_score
from crackgate.model.engine import build_engine
from crackgate.model.network import TOLERANCE, Running
from crackgate.model.outputs import Outputs
from crackgate.model.predictions import PredictionRow, predict
from crackgate.model.saved_model import SavedModel
from crackgate.regular_file import open_regular
from crackgate.releases import production_version
from crackgate.runs.workspace import Workspace

# It holds one number.
_MOST_VERSION_BYTES = 1024
_SHOWN = 20
# Images that are decoded together: bounds the memory, whatever a caller sends.
_CHUNK = 32


class ReleasedModel:
    """One version, loaded; any number of threads may ask it at once.

    Attributes:
        classes: Names in label order.
        image_size: Side of the network's square input, in pixels.
        positive_classes: Those that must not be missed, in label order; empty: the highest score decides.
        threshold: The sum of their scores from which on an image is positive, 0 to 1; None without a positive class.
        decision: The same by label; None without a positive class.
        version: Number of the version, or "unreleased".
        limits: Bounds on single images, those of ingest.
        scale: Sizes of the training images; None: images of any size are scored.
        familiarity: What it knows of its training images; None: it cannot tell an unfamiliar image.
        engine: "OpenVINO" or "TensorFlow".
    """

    def __init__(self, folder: Path, card: ReleaseCard, engine: EngineChoice):
        """See `load_released_model`."""
        self.folder = folder
        self.classes, self.image_size = card.classes, card.image_size
        self.limits, self.scale, self.familiarity = card.limits, card.scale, card.familiarity
        self.positive_classes, self.threshold = card.positive_classes, card.threshold
        self.decision = None if card.threshold is None else Decision(card.positive_labels, card.threshold)
        self.version = _read_version(folder)
        self._saved = SavedModel(folder, card.limits, card.scale)
        self._decoder, self._network = build_engine(folder, card, self._saved, engine)
        self.engine = self._network.engine

    @property
    def place(self) -> Path:
        """The version's folder by now; see `SavedModel`."""
        return self._saved.place

    @property
    def loaded(self) -> Any:
        """The SavedModel, with its signatures: TensorFlow's object, for which TensorFlow is imported."""
        return self._saved.loaded

    def answer(self, images: Sequence[bytes]) -> list[Answer]:
        """Scores image files of every format that ingest takes, any number: one answer for each, in their order.

        Each is first brought into the form that ingest would have stored; what ingest refuses has that error. An image
        that is out of the scale of the training images has one, too.
        """
        answers: list[Answer] = []
        scoring = None
        # While one chunk is scored the next is decoded.
        for first in range(0, len(images), _CHUNK):
            chunk = images[first : first + _CHUNK]
            pixels, errors = self._decoder.decode(chunk)
            following = (chunk, errors, self._network.start(pixels))
            if scoring is not None:
                answers.extend(self._finish(*scoring))
            scoring = following
        if scoring is not None:
            answers.extend(self._finish(*scoring))
        return answers

    def predict(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[PredictionRow]:
        """Scores image files one after the other, in flat memory: rows come as soon as their batch is scored.

        An unusable file has a row with an error. Raises TypeError where one path is given instead of several.
        """
        if isinstance(paths, str | os.PathLike):
            raise TypeError(f"paths: received one path, {os.fspath(paths)!r}; give a list of paths, [{paths!r}]")
        return predict(self, map(Path, paths))

    def pixels_to_decode(self, image: bytes) -> int:
        """Pixels that `answer` decodes of an image file, by its header alone: 0 where that refuses it."""
        try:
            width, height = size_in_header(image, self.limits)
        except RejectedImageError:
            return 0
        return width * height if self.scale is None or self.scale.takes(width, height) else 0

    def examine_pixels(self, pixels: np.ndarray) -> Outputs:
        """The same engine's outputs for decoded images, float32 (images, image_size, image_size, 3), RGB, 0 to 255."""
        return self._network.start(pixels)()

    def failure(self, error: str) -> Answer:
        """The answer for an image that cannot be scored, and why."""
        is_positive = None if self.decision is None else True
        unfamiliarity = None if self.familiarity is None else 0.0
        return Answer("", 0.0, (0.0,) * len(self.classes), is_positive, unfamiliarity, self.version, error)

    def _finish(self, images: Sequence[bytes], errors: list[str], running: Running) -> Iterator[Answer]:
        outputs = running()
        # TensorFlow decides where the engine's rounding could turn the decision: the gate judged TensorFlow.
        doubtful = _doubtful(outputs, self.decision) & np.array([not error for error in errors])
        if self._network is not self._saved and doubtful.any():
            rows = np.flatnonzero(doubtful)
            pixels, faults = self._saved.decode([images[row] for row in rows])
            outputs.replace_rows(doubtful, self._saved.start(pixels)())
            for row, fault in zip(rows, faults, strict=True):
                errors[row] = fault
        scores, unfamiliarity = outputs
        labels = decide(scores, self.decision)
        positives = None if self.decision is None else self.decision.is_positive(scores)
        for row, error in enumerate(errors):
            if error:
                yield self.failure(error)
                continue
            yield Answer(
                label=self.classes[labels[row]],
                probability=float(scores[row, labels[row]]),
                scores=tuple(scores[row].tolist()),
                is_positive=None if positives is None else bool(positives[row]),
                unfamiliarity=None if unfamiliarity is None else float(unfamiliarity[row]),
                model_version=self.version,
                error="",
            )


def load_released_model(folder: Path, engine: EngineChoice = EngineChoice.FASTEST) -> ReleasedModel:
    """Loads the version in a folder such as `serving/<version>/`; raises NotAReleaseError where it is none.

    TensorFlow is imported where it has to score: by choice, on a GPU, or for a release that stores no other form.
    """
    if not (folder / "saved_model.pb").is_file():
        raise NotAReleaseError(
            f"{str(folder)!r} is no released version: it has no saved_model.pb; give the folder of one version, "
            "such as workspace/serving/1795374861"
        )
    return ReleasedModel(folder, read_card(folder), engine)


def find_release(folder: str | os.PathLike[str]) -> Path:
    """The version in production of a workspace or a serving directory, or the folder itself where it is a version.

    Raises NotAReleaseError where there is none.
    """
    path = Path(folder)
    if (path / "saved_model.pb").is_file():
        return path
    for serving in (Workspace(path).serving, path):
        if version := production_version(serving):
            return version
    raise NotAReleaseError(
        f"{str(path)!r} holds no released version: give the workspace of a run that released one, a serving directory, "
        "or the folder of one version, such as workspace/serving/1795374861"
    )


def _read_version(folder: Path) -> str:
    try:
        with open_regular(folder / MODEL_VERSION_FILE, follow_links=True) as content:
            version = content.read(_MOST_VERSION_BYTES).decode().strip()
        if not version.isprintable():
            raise ValueError(f"{str(MODEL_VERSION_FILE)!r} holds {version[:_SHOWN]!r}, which is no version")
        return version
    # Bytes that are no text, too.
    except (OSError, ValueError) as error:
        raise NotAReleaseError(f"{str(folder)!r} is no model that crackgate exported: {error}") from error


def _doubtful(outputs: Outputs, decision: Decision | None) -> np.ndarray:
    """Rows whose label, or whose familiarity, may be another within the tolerance: bool (images,)."""
    scores, unfamiliarity = outputs
    rivals = [scores]
    doubtful = np.zeros(len(scores), bool)
    if decision is not None:
        # Each of the summed scores may be off.
        apart = np.abs(positive_score(scores, decision.labels) - np.float32(decision.threshold))
        doubtful = apart <= len(decision.labels) * TOLERANCE
        rivals = [scores[:, decision.labels], np.delete(scores, decision.labels, axis=1)]
    for rows in rivals:
        if rows.shape[1] > 1:
            best = np.partition(rows, -2, axis=1)
            doubtful |= best[:, -1] - best[:, -2] <= 2 * TOLERANCE
    if unfamiliarity is not None:
        doubtful |= np.abs(unfamiliarity - 1) <= UNFAMILIARITY_TOLERANCE
    return doubtful
