"""A released model: decodes as training did, scores by the fastest engine that agrees with its SavedModel."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from crackgate.contracts.answer import Answer
from crackgate.contracts.card import NotAReleaseError, ReleaseCard, read_card
from crackgate.contracts.model_files import MODEL_VERSION_FILE, UNFAMILIARITY_TOLERANCE
from crackgate.images.image_file import canonical_bytes
from crackgate.images.rejection import RejectedImageError
from crackgate.model.decision import Decision, decide, positive_score
from crackgate.model.engine import TOLERANCE, Running, build_network
from crackgate.model.graph_operations import ForbiddenOperationError, check_operations
from crackgate.model.outputs import Outputs, as_outputs, network_function

# Images that are decoded together: bounds the memory, whatever a caller sends.
_CHUNK = 32
# Functions that the SavedModel of a release has, beside its signatures.
_FUNCTIONS = ("decode", "score_pixels")


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
        loaded: The SavedModel, with its signatures.
    """

    def __init__(self, folder: Path, loaded: Any, card: ReleaseCard):
        """See `load_released_model`."""
        self.folder, self.loaded = folder, loaded
        self.classes, self.image_size = card.classes, card.image_size
        self.limits, self.scale, self.familiarity = card.limits, card.scale, card.familiarity
        self.positive_classes, self.threshold = card.positive_classes, card.threshold
        self.decision = None if card.threshold is None else Decision(card.positive_labels, card.threshold)
        self.version = (folder / MODEL_VERSION_FILE).read_text(encoding="utf-8").strip()
        self._network = build_network(loaded, card.image_size, folder)
        self.engine = self._network.engine
        self._readers = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="reading images")

    def answer(self, images: Sequence[bytes]) -> list[Answer]:
        """Scores image files of every format that ingest takes, any number: one answer for each, in their order.

        Each is first brought into the form that ingest would have stored; what ingest refuses has that error. An image
        that is out of the scale of the training images has one, too.
        """
        answers: list[Answer] = []
        scoring = None
        # While one chunk is scored the next is decoded.
        for first in range(0, len(images), _CHUNK):
            contents, faults = zip(*self._readers.map(self._read, images[first : first + _CHUNK]), strict=True)
            pixels, errors = self.loaded.decode(tf.constant(contents))
            pixels = pixels.numpy()
            # The model refuses images out of its scale.
            errors = [fault or error.decode() for fault, error in zip(faults, errors.numpy(), strict=True)]
            following = (pixels, errors, self._network.start(pixels))
            if scoring is not None:
                answers.extend(self._finish(*scoring))
            scoring = following
        if scoring is not None:
            answers.extend(self._finish(*scoring))
        return answers

    def examine_pixels(self, pixels: np.ndarray) -> Outputs:
        """The same engine's outputs for decoded images, float32 (images, image_size, image_size, 3), RGB, 0 to 255."""
        return self._network.start(pixels)()

    def failure(self, error: str) -> Answer:
        """The answer for an image that cannot be scored, and why."""
        is_positive = None if self.decision is None else True
        unfamiliarity = None if self.familiarity is None else 0.0
        return Answer("", 0.0, (0.0,) * len(self.classes), is_positive, unfamiliarity, self.version, error)

    def _read(self, image: bytes) -> tuple[bytes, str]:
        """The image as ingest would have stored it, or why it would store nothing."""
        try:
            return canonical_bytes(image, self.limits), ""
        except RejectedImageError as rejection:
            return b"", str(rejection)

    def _finish(self, pixels: np.ndarray, errors: list[str], running: Running) -> Iterator[Answer]:
        outputs = running()
        # TensorFlow decides where the engine's rounding could turn the decision: the gate judged TensorFlow.
        doubtful = _doubtful(outputs, self.decision)
        if self.engine != "TensorFlow" and doubtful.any():
            exact = as_outputs(network_function(self.loaded)(tf.constant(pixels[doubtful])))
            outputs.replace_rows(doubtful, exact)
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


def load_released_model(folder: Path) -> ReleasedModel:
    """Loads the version in a folder such as `serving/<version>/`; raises NotAReleaseError where it is none."""
    if not (folder / "saved_model.pb").is_file():
        raise NotAReleaseError(
            f"{str(folder)!r} is no released version: it has no saved_model.pb; give the folder of one version, "
            "such as workspace/serving/1795374861"
        )
    return ReleasedModel(folder, _load(folder), read_card(folder))


def _load(folder: Path) -> Any:
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
