"""The test images whose labels may be wrong, as a Beam combiner."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics.metric_types import StandardMetricInputs

from crackgate.contracts import metric_names
from crackgate.contracts.doubtful_label import DoubtfulLabel, DoubtfulLabels
from crackgate.contracts.stored_example import TEST_SPLIT
from crackgate.model.label_doubts import doubtful_labels


@dataclass
class ScoredLabels:
    """Path, label and scores of each image."""

    paths: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)


class FindDoubtfulLabels(beam.CombineFn):
    """From `StandardMetricInputs` to the JSON of `DoubtfulLabels` under one key; images without scores do not count."""

    def __init__(self, key: Any, model_name: str, classes: list[str]):
        """Takes the result's key, the model's name in TFMA ("" for the only one), and all classes."""
        self._key = key
        self._model_name = model_name
        self._classes = classes

    def create_accumulator(self) -> ScoredLabels:
        """Makes an empty accumulator."""
        return ScoredLabels()

    def add_input(self, images: ScoredLabels, element: StandardMetricInputs) -> ScoredLabels:
        """Adds one image."""
        label, predictions = element.get_labels(), element.get_predictions()
        if self._model_name:
            label, predictions = label[self._model_name], predictions[self._model_name]
        scores = np.asarray(predictions["scores"], np.float32).reshape(-1)
        # A model that could not decode the image gives zeros.
        if np.isfinite(scores).all() and scores.any():
            images.paths.append(np.asarray(predictions[metric_names.PATH]).item())
            images.labels.append(int(np.asarray(label).item()))
            images.scores.append(scores)
        return images

    def merge_accumulators(self, accumulators: Iterable[ScoredLabels]) -> ScoredLabels:
        """Joins the accumulators."""
        merged = ScoredLabels()
        for images in accumulators:
            merged.paths += images.paths
            merged.labels += images.labels
            merged.scores += images.scores
        return merged

    def extract_output(self, images: ScoredLabels) -> dict[Any, str]:
        """Compares the labels with the scores."""
        found = []
        if images.paths:
            scores, labels = np.stack(images.scores), np.array(images.labels)
            likely = doubtful_labels(scores, labels)
            found = [
                DoubtfulLabel(
                    path=images.paths[row],
                    split=TEST_SPLIT,
                    label=self._classes[labels[row]],
                    likely=self._classes[likely[row]],
                    score=scores[row, likely[row]],
                )
                for row in np.flatnonzero(likely >= 0)
            ]
        doubts = DoubtfulLabels(judged=len(images.paths), found=found)
        return {self._key: doubts.joined(DoubtfulLabels()).model_dump_json()}
