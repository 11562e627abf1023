"""The scores of all models over one slice, as a Beam combiner."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics.metric_types import StandardMetricInputs

from crackgate.contracts import metric_names
from crackgate.gate.metrics import ScoredImages


@dataclass(frozen=True)
class ScoredSlice:
    """One or two models on the same images, in the same order.

    `seen` counts the images that each model was trained on, `unfamiliar` those that it finds unlike these; None when it
    does not say.
    """

    scored: dict[str, ScoredImages]
    seen: dict[str, int | None]
    unfamiliar: dict[str, int | None]


@dataclass
class Rows:
    """Per image its label, then each model's decision, whether it saw the image in training or finds it unfamiliar,
    and scores."""

    open: list[list[float]] = field(default_factory=list)
    closed: list[np.ndarray] = field(default_factory=list)


class CollectScores(beam.CombineFn):
    """From `StandardMetricInputs` to `ScoredSlice` under one key."""

    # Lists of Python numbers take ten times the memory of an array.
    _ROWS_OPEN = 1000

    def __init__(self, key: Any, model_names: list[str], classes: list[str], positives: tuple[int, ...]):
        """Takes the result's key, the models' names in TFMA ("" for the only one), all classes, positive labels."""
        self._key = key
        self._model_names = model_names
        self._positives = positives
        self._labels = {name: label for label, name in enumerate(classes)}

    def create_accumulator(self) -> Rows:
        """Makes an empty accumulator."""
        return Rows()

    def add_input(self, rows: Rows, element: StandardMetricInputs) -> Rows:
        """Adds one image."""
        # TFMA keeps a label for each model, too.
        row = [float(np.asarray(_of_model(element.get_labels(), self._model_names[0])).item())]
        for model_name in self._model_names:
            predictions = _of_model(element.get_predictions(), model_name)
            scores = np.asarray(predictions["scores"], np.float64).reshape(-1)
            if _failed(predictions):
                # The model gives zeros here, but says that they are no scores.
                scores = np.full_like(scores, np.nan)
            row += [
                self._decide(predictions, scores),
                float(predictions[metric_names.SEEN_IN_TRAINING].item()),
                _unfamiliar(predictions),
                *scores,
            ]
        rows.open.append(row)
        if len(rows.open) >= self._ROWS_OPEN:
            _close(rows)
        return rows

    def merge_accumulators(self, accumulators: Iterable[Rows]) -> Rows:
        """Concatenates the accumulators."""
        merged = Rows()
        for rows in accumulators:
            _close(rows)
            merged.closed += rows.closed
        return merged

    def extract_output(self, rows: Rows) -> dict[Any, ScoredSlice]:
        """Splits the table into models."""
        _close(rows)
        classes = len(self._labels)
        table = np.concatenate(rows.closed)
        # Beam keeps no order, but the bootstrap must draw the same images every time.
        table = table[np.lexsort(table.T)]
        scored, seen, unfamiliar = {}, {}, {}
        for position, model_name in enumerate(self._model_names):
            start = 1 + position * (classes + 3)
            decisions, saw, strange = table[:, start : start + 3].T
            scored[model_name] = ScoredImages(
                table[:, 0].astype(np.int64),
                decisions.astype(np.int64),
                table[:, start + 3 : start + 3 + classes],
                self._positives,
            )
            seen[model_name] = _count(saw)
            unfamiliar[model_name] = _count(strange)
        return {self._key: ScoredSlice(scored, seen, unfamiliar)}

    def _decide(self, predictions: Any, scores: np.ndarray) -> float:
        """The model's own decision, `label`; without one, the class of the highest score."""
        if len(scores) != len(self._labels):
            raise ValueError(
                f"the model gives {len(scores)} scores an image, and there are {len(self._labels)} classes: "
                f"{', '.join(map(repr, self._labels))}"
            )
        if "label" not in predictions:
            return -1.0 if np.isnan(scores).any() else float(scores.argmax())
        label = np.asarray(predictions["label"]).reshape(-1)[0]
        return float(self._labels.get(label.decode() if isinstance(label, bytes) else str(label), -1))


def _unfamiliar(predictions: Any) -> float:
    """1 or 0; NaN of a model that cannot tell."""
    if "unfamiliarity" not in predictions:
        return np.nan
    return float(np.asarray(predictions["unfamiliarity"]).reshape(-1)[0] > 1)


def _count(flags: np.ndarray) -> int | None:
    return None if np.isnan(flags).any() else int(flags.sum())


def _failed(predictions: Any) -> bool:
    return "error" in predictions and bool(np.asarray(predictions["error"]).reshape(-1)[0])


def _of_model(values: Any, model_name: str) -> Any:
    return values[model_name] if model_name else values


def _close(rows: Rows) -> None:
    if rows.open:
        rows.closed.append(np.array(rows.open, np.float64))
        rows.open = []
