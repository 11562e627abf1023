"""Which test images have doubtful labels, however Beam divides them."""

import json

import numpy as np
import pytest

from crackgate.contracts import metric_names
from crackgate.contracts.doubtful_label import DoubtfulLabels

CLASSES = ["Negative", "Positive"]
# Path, label and score of Positive: two images of either class have the other one's score.
IMAGES = [
    *((f"Negative/{number}.jpg", 0, 0.02) for number in range(20)),
    *((f"Positive/{number}.jpg", 1, 0.97) for number in range(20)),
    ("Negative/a.jpg", 0, 0.99),
    ("Positive/b.jpg", 1, 0.001),
    ("Positive/unsure.jpg", 1, 0.4),
]


def _found(parts: list[list[tuple[str, int, float]]], model: str = "") -> DoubtfulLabels:
    from tensorflow_model_analysis.metrics.metric_types import StandardMetricInputs

    from components.evaluator.doubtful_labels import FindDoubtfulLabels

    combiner = FindDoubtfulLabels("key", model, CLASSES)
    accumulators = []
    for part in parts:
        accumulator = combiner.create_accumulator()
        for path, label, score in part:
            scores = [0.0, 0.0] if score < 0 else [1 - score, score]
            predictions = {"scores": np.array(scores, np.float32), metric_names.PATH: np.array(path, object)}
            labels = np.array([label])
            element = {
                "labels": {model: labels} if model else labels,
                "predictions": {model: predictions, "baseline": {}} if model else predictions,
            }
            accumulator = combiner.add_input(accumulator, StandardMetricInputs(element))
        accumulators.append(accumulator)
    output = combiner.extract_output(combiner.merge_accumulators(accumulators))
    return DoubtfulLabels.model_validate(json.loads(output["key"]))


@pytest.mark.parametrize("model", ["", "candidate"], ids=["one model", "two models"])
def test_labels_that_the_scores_speak_against_are_found_the_surest_first(model: str) -> None:
    found = _found([IMAGES[::2], [], IMAGES[1::2]], model)
    assert found.judged == len(IMAGES)
    assert [(doubt.path, doubt.split, doubt.label, doubt.likely) for doubt in found.found] == [
        ("Positive/b.jpg", "test", "Positive", "Negative"),
        ("Negative/a.jpg", "test", "Negative", "Positive"),
    ]
    assert found.found[0].in_words() == "looks like Negative (score 1.00)"


def test_images_that_the_model_could_not_score_do_not_count() -> None:
    unusable = [("Negative/blank.jpg", 0, -1.0), ("Negative/broken.jpg", 0, float("nan"))]
    assert _found([[*IMAGES, *unusable]]) == _found([IMAGES])
    assert _found([unusable]) == _found([[]]) == DoubtfulLabels()
