"""The answers worth a look: of each class the surest wrong ones, and the right ones that were least certain."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics.metric_types import StandardMetricInputs

from crackgate.contracts import metric_names

# Shown over all classes: 12 of each where there are two.
SHOWN = 24
# In place of a label, where the model says that it could not decode the image.
NO_ANSWER = "no answer"

# "path", the class of the image's folder ("actual"), the class that the model gave ("label") and each class's "scores",
# None where one is no number.
Answer = dict[str, Any]


@dataclass
class Picked:
    """How many images there were, how many were answered wrongly, and the answers to choose from.

    The latter by actual class, and whether they are wrong.
    """

    scored: int = 0
    wrong: int = 0
    answers: dict[tuple[str, bool], list[Answer]] = field(default_factory=dict)


class PickTellingAnswers(beam.CombineFn):
    """From `StandardMetricInputs` to JSON under one key, in a few answers' memory.

    That is an object of "scored" and "wrong", numbers of images, "shown", which is "wrong" or, when no answer is,
    "least certain", and "by_class": by actual class the answers, the most telling one first.
    """

    def __init__(self, key: Any, model_name: str, classes: list[str]):
        """Takes the key to put the result under, the model's name in TFMA ("" for the only one), and all classes."""
        self._key = key
        self._model_name = model_name
        self._classes = classes
        self._most = max(1, SHOWN // len(classes))

    def create_accumulator(self) -> Picked:
        """Nothing yet."""
        return Picked()

    def add_input(self, picked: Picked, element: StandardMetricInputs) -> Picked:
        """Adds one image."""
        label, predictions = element.get_labels(), element.get_predictions()
        if self._model_name:
            label, predictions = label[self._model_name], predictions[self._model_name]
        answer = self._describe(int(np.asarray(label).item()), predictions)
        wrong = answer["label"] != answer["actual"]
        picked.scored += 1
        picked.wrong += wrong
        self._add(picked, answer["actual"], wrong, [answer])
        return picked

    def merge_accumulators(self, accumulators: Iterable[Picked]) -> Picked:
        """Puts them together."""
        merged = Picked()
        for picked in accumulators:
            merged.scored += picked.scored
            merged.wrong += picked.wrong
            for (actual, wrong), answers in picked.answers.items():
                self._add(merged, actual, wrong, answers)
        return merged

    def extract_output(self, picked: Picked) -> dict[Any, str]:
        """Chooses."""
        wrong = picked.wrong > 0
        by_class = {name: self._first(picked.answers.get((name, wrong), []), wrong) for name in self._classes}
        shown = "wrong" if wrong else "least certain"
        chosen = {"scored": picked.scored, "wrong": picked.wrong, "shown": shown, "by_class": by_class}
        return {self._key: json.dumps(chosen)}

    def _describe(self, label: int, predictions: Any) -> Answer:
        scores = np.asarray(predictions["scores"], np.float64).reshape(-1)
        given = self._classes[int(scores.argmax())]
        if "label" in predictions:
            given = np.asarray(predictions["label"]).reshape(-1)[0].decode() or NO_ANSWER
        return {
            "path": np.asarray(predictions[metric_names.PATH]).item(),
            "actual": self._classes[label],
            "label": given,
            "scores": {
                name: float(score) if math.isfinite(score) else None
                for name, score in zip(self._classes, scores, strict=True)
            },
        }

    def _add(self, picked: Picked, actual: str, wrong: bool, answers: list[Answer]) -> None:
        kept = picked.answers.setdefault((actual, wrong), [])
        kept += answers
        if len(kept) > 10 * self._most:
            kept[:] = self._first(kept, wrong)

    def _first(self, answers: list[Answer], wrong: bool) -> list[Answer]:
        # Within a class, also where a threshold decides: the further from it, the higher the score of the label given.
        sign = -1 if wrong else 1
        return sorted(answers, key=lambda answer: (sign * _certainty(answer), answer["path"]))[: self._most]


def _certainty(answer: Answer) -> float:
    score = answer["scores"].get(answer["label"])
    # What is no number comes first among the wrong answers, and is never the least certain right one.
    return math.inf if score is None else float(score)
