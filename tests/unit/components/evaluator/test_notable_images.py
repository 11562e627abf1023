"""Which test images are picked to look at."""

import json
import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import NotableImage, NotableImages

CLASSES = ["Negative", "Positive"]


def picked_from(parts: list[list[dict[str, Any]]], classes: list[str], model: str = "") -> NotableImages:
    """Through the combiner, each part in an accumulator of its own."""
    from tensorflow_model_analysis.metrics.metric_types import StandardMetricInputs

    from components.evaluator.notable_images import PickNotableImages

    combiner = PickNotableImages("key", model, classes)
    accumulators = []
    for part in parts:
        accumulator = combiner.create_accumulator()
        for image in part:
            predictions = {
                "scores": np.array(image["scores"], np.float32),
                metric_names.PATH: np.array(image["path"], object),
                **({"error": np.array([image["error"].encode()], object)} if "error" in image else {}),
                **({"unfamiliarity": np.array([image["unfamiliarity"]])} if "unfamiliarity" in image else {}),
                **({"label": np.array([image["label"].encode()], object)} if "label" in image else {}),
            }
            label = np.array([classes.index(image["actual"])])
            element = {
                "labels": {model: label} if model else label,
                "predictions": {model: predictions, "baseline": {}} if model else predictions,
            }
            accumulator = combiner.add_input(accumulator, StandardMetricInputs(element))
        accumulators.append(accumulator)
    output = combiner.extract_output(combiner.merge_accumulators(accumulators))
    return NotableImages.model_validate(json.loads(output["key"]))


@st.composite
def parts(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    scores = draw(st.lists(st.one_of(st.just(math.nan), st.floats(0, 1, width=32)), max_size=400))
    images = [
        {
            "path": f"{number}.jpg",
            "actual": draw(st.sampled_from(CLASSES)),
            "label": draw(st.sampled_from([*CLASSES, ""])),
            "scores": [1 - score, score],
        }
        for number, score in enumerate(scores)
    ]
    cut = draw(st.integers(0, len(images)))
    return [images[:cut], images[cut:]]


@settings(deadline=None)  # the first example imports TensorFlow
@given(parts(), st.sampled_from(["", "candidate"]))
def test_the_surest_errors_of_each_class_are_picked_or_the_least_certain_images(
    given_parts: list[list[dict[str, Any]]], model: str
) -> None:
    def certainty(image: NotableImage) -> float:
        score = image.scores.get(image.label)
        return math.inf if score is None else score

    picked = picked_from(given_parts, CLASSES, model)
    images = [
        NotableImage(
            path=image["path"],
            actual=image["actual"],
            label=image["label"] or "no label",
            scores={
                name: None if math.isnan(score) else float(np.float32(score))
                for name, score in zip(CLASSES, image["scores"], strict=True)
            },
        )
        for part in given_parts
        for image in part
    ]
    wrong = [image for image in images if image.label != image.actual]
    pool, sign = (wrong, -1) if wrong else (images, 1)
    assert (picked.scored, picked.misclassified) == (len(images), len(wrong))
    assert picked.shown == ("misclassified" if wrong else "least certain")
    for name, shown in picked.by_class.items():
        candidates = [image for image in pool if image.actual == name]
        assert len(shown) == min(12, len(candidates))
        assert all(image in candidates for image in shown)
        values = [sign * certainty(image) for image in shown]
        assert values == sorted(values)
        left = [sign * certainty(image) for image in candidates if image not in shown]
        assert not left or max(values) <= min(left)
        listed = [image for image in picked.listed["misclassified"] if image.actual == name]
        assert len(listed) == min(50, sum(image.actual == name for image in wrong))
        assert [certainty(image) for image in listed] == sorted(map(certainty, listed), reverse=True)
    assert all(image.label == image.actual for image in picked.listed["least certain"])


def test_a_model_that_gives_no_labels_is_taken_at_its_highest_score() -> None:
    images = [{"path": "a", "actual": "Negative", "scores": [0.2, 0.8]}]
    (picked,) = picked_from([images], CLASSES).by_class["Negative"]
    assert (picked.label, picked.path) == ("Positive", "a")


def test_many_classes_share_the_space() -> None:
    classes = [f"Class {number}" for number in range(30)]
    wrong = [
        {"path": f"{name} {number}", "actual": name, "label": "other", "scores": [0.0] * 30}
        for name in classes
        for number in range(3)
    ]
    assert {len(shown) for shown in picked_from([wrong], classes).by_class.values()} == {1}


def test_an_image_that_the_model_refuses_comes_first_with_its_error_and_without_scores() -> None:
    images = [
        {"path": "sure.jpg", "actual": "Negative", "label": "Positive", "scores": [0.01, 0.99], "error": ""},
        {"path": "big.jpg", "actual": "Negative", "label": "", "scores": [0, 0], "error": "out of scale: 9x9 pixels"},
    ]
    refused, sure = picked_from([images], CLASSES).by_class["Negative"]
    assert (refused.path, refused.error) == ("big.jpg", "out of scale: 9x9 pixels")
    assert refused.scores == {"Negative": None, "Positive": None} and sure.error == ""


def test_the_images_that_are_most_unlike_the_training_images_are_listed() -> None:
    values = [*np.linspace(0.5, 3, 1500), math.nan]
    images = [
        {"path": f"{number:04d}", "actual": "Negative", "scores": [0.9, 0.1], "unfamiliarity": value}
        for number, value in enumerate(values)
    ]
    for parts in ([images], [images[::2], images[1::2]]):
        listed = picked_from(parts, CLASSES).listed["unfamiliar"]
        assert [image.path for image in listed] == [f"{number:04d}" for number in range(1499, 1399, -1)]
        assert listed[0].unfamiliarity == 3
    assert picked_from([images[:100]], CLASSES).listed["unfamiliar"] == [], "up to 1 they are alike"
    images = [{"path": "a", "actual": "Negative", "scores": [0.9, 0.1]}]
    assert picked_from([images], CLASSES).listed["unfamiliar"] == [], "a model that cannot tell"
