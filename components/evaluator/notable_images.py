"""The notable test images of each class: the surest errors, or without errors the least certain images."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics.metric_types import StandardMetricInputs

from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import NotableImage, NotableImages

# Shown over all classes: 12 of each where there are two.
SHOWN = 24
# Errors and unfamiliar images that are listed without pictures, over all classes.
LISTED = 100
# Replaces the label when the model could not decode the image.
NO_LABEL = "no label"


@dataclass
class Candidates:
    """Counts of all and of misclassified images, and the images to choose from.

    `images` are by (class, misclassified), `unfamiliar` those unlike the training images.
    """

    scored: int = 0
    misclassified: int = 0
    images: dict[tuple[str, bool], list[NotableImage]] = field(default_factory=dict)
    unfamiliar: list[NotableImage] = field(default_factory=list)


class PickNotableImages(beam.CombineFn):
    """From `StandardMetricInputs` to the JSON of `NotableImages` under one key, in a few images' memory."""

    def __init__(self, key: Any, model_name: str, classes: list[str]):
        """Takes the result's key, the model's name in TFMA ("" for the only one), and all classes."""
        self._key = key
        self._model_name = model_name
        self._classes = classes
        self._most, self._most_listed = (max(1, number // len(classes)) for number in (SHOWN, LISTED))

    def create_accumulator(self) -> Candidates:
        """Makes an empty accumulator."""
        return Candidates()

    def add_input(self, candidates: Candidates, element: StandardMetricInputs) -> Candidates:
        """Adds one image."""
        label, predictions = element.get_labels(), element.get_predictions()
        if self._model_name:
            label, predictions = label[self._model_name], predictions[self._model_name]
        image = self._describe(int(np.asarray(label).item()), predictions)
        wrong = image.label != image.actual
        candidates.scored += 1
        candidates.misclassified += wrong
        self._add(candidates, image.actual, wrong, [image])
        if (image.unfamiliarity or 0) > 1:
            _add_unfamiliar(candidates, [image])
        return candidates

    def merge_accumulators(self, accumulators: Iterable[Candidates]) -> Candidates:
        """Joins the accumulators."""
        merged = Candidates()
        for candidates in accumulators:
            merged.scored += candidates.scored
            merged.misclassified += candidates.misclassified
            for (actual, wrong), images in candidates.images.items():
                self._add(merged, actual, wrong, images)
            _add_unfamiliar(merged, candidates.unfamiliar)
        return merged

    def extract_output(self, candidates: Candidates) -> dict[Any, str]:
        """Chooses the images."""
        wrong = candidates.misclassified > 0
        first = {
            (name, is_wrong): self._first(candidates.images.get((name, is_wrong), []), is_wrong)
            for name in self._classes
            for is_wrong in (True, False)
        }
        chosen = NotableImages(
            scored=candidates.scored,
            misclassified=candidates.misclassified,
            shown="misclassified" if wrong else "least certain",
            by_class={name: first[name, wrong][: self._most] for name in self._classes},
            listed={
                "misclassified": [image for name in self._classes for image in first[name, True]],
                "least certain": [image for name in self._classes for image in first[name, False][: self._most]],
                "unfamiliar": _most_unfamiliar(candidates.unfamiliar),
            },
        )
        return {self._key: chosen.model_dump_json()}

    def _describe(self, label: int, predictions: Any) -> NotableImage:
        scores = np.asarray(predictions["scores"], np.float64).reshape(-1)
        given = self._classes[int(scores.argmax())]
        if "label" in predictions:
            given = np.asarray(predictions["label"]).reshape(-1)[0].decode() or NO_LABEL
        error = np.asarray(predictions["error"]).reshape(-1)[0].decode() if "error" in predictions else ""
        return NotableImage(
            path=np.asarray(predictions[metric_names.PATH]).item(),
            actual=self._classes[label],
            label=given,
            scores={
                # With an error the model gives zeros, which are no scores.
                name: float(score) if math.isfinite(score) and not error else None
                for name, score in zip(self._classes, scores, strict=True)
            },
            error=error,
            unfamiliarity=_unfamiliarity(predictions),
        )

    def _add(self, candidates: Candidates, actual: str, wrong: bool, images: list[NotableImage]) -> None:
        kept = candidates.images.setdefault((actual, wrong), [])
        kept += images
        if len(kept) > 10 * self._most_listed:
            kept[:] = self._first(kept, wrong)

    def _first(self, images: list[NotableImage], wrong: bool) -> list[NotableImage]:
        # Within a class, the score of the given label also rises with the distance from a threshold.
        sign = -1 if wrong else 1
        return sorted(images, key=lambda image: (sign * _certainty(image), image.path))[: self._most_listed]


def _certainty(image: NotableImage) -> float:
    score = image.scores.get(image.label)
    # A missing score comes first among the errors, and is never the least certain of the others.
    return math.inf if score is None else score


def _add_unfamiliar(candidates: Candidates, images: list[NotableImage]) -> None:
    candidates.unfamiliar += images
    if len(candidates.unfamiliar) > 10 * LISTED:
        candidates.unfamiliar = _most_unfamiliar(candidates.unfamiliar)


def _most_unfamiliar(images: list[NotableImage]) -> list[NotableImage]:
    return sorted(images, key=lambda image: (-(image.unfamiliarity or 0), image.path))[:LISTED]


def _unfamiliarity(predictions: Any) -> float | None:
    if "unfamiliarity" not in predictions:
        return None
    value = float(np.asarray(predictions["unfamiliarity"]).reshape(-1)[0])
    return value if math.isfinite(value) else None
