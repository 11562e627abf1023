"""Reports: curves that can be looked at, and numbers that are right."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crackgate.config.train import TrainOptions
from crackgate.contracts.threshold_findings import ThresholdFindings
from crackgate.contracts.training_images import TrainingImages
from crackgate.model.calibration import Calibration
from crackgate.model.decision import Decision
from crackgate.model.threshold import describe_threshold
from trainer.export.training_report import write_classification_report, write_curves, write_history, write_reliability
from trainer.fit.stages import History, Stages

MEASURES = ("loss", "accuracy", "val_loss", "val_accuracy")
CLASSES = ["Crack", "Größer", "Sound"]
AS_IS = Calibration(1.0, (0.0, 0.0, 0.0))


def _history(epochs: int) -> History:
    rng = np.random.default_rng(epochs)
    return {measure: rng.uniform(0, 1, epochs).tolist() for measure in MEASURES}


IMAGES = TrainingImages(available=70, learnt_from=60, views=180)
TWO_STAGES = Stages(_history(5), _history(3), fine_tune_kept=True, images=IMAGES)
ONE_STAGE = Stages(_history(1), {}, fine_tune_kept=False, images=IMAGES)


def _logits(predicted: list[int]) -> np.ndarray:
    """Logits of which the highest is the prediction; none of them is a probability."""
    return 7 * np.eye(len(CLASSES))[predicted] - 3


def _report(labels: list[int], predicted: list[int], folder: Path) -> Any:
    write_classification_report(np.array(labels), _logits(predicted), CLASSES, AS_IS, None, None, folder)
    return json.loads((folder / "classification_report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("stages", [TWO_STAGES, ONE_STAGE], ids=["two stages", "head only"])
def test_curves_are_a_picture_with_a_line_for_each_split(stages: Stages, tmp_path: Path) -> None:
    write_curves(stages, TrainOptions(), tmp_path)
    with Image.open(tmp_path / "training_curves.png") as picture:
        assert picture.format == "PNG"
        assert picture.width >= 800
        assert picture.height >= 300
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    # Mostly white, and two colours that are not grey.
    assert colours[counts.argmax()].tolist() == [255, 255, 255]
    assert (np.ptp(colours[counts > 50].astype(int), axis=1) > 60).sum() >= 2


def test_the_start_of_fine_tuning_is_marked(tmp_path: Path) -> None:
    history = _history(8)
    first = {measure: values[:5] for measure, values in history.items()}
    second = {measure: values[5:] for measure, values in history.items()}
    pictures = []
    for number, stages in enumerate((Stages(first, second, True, IMAGES), Stages(history, {}, False, IMAGES))):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_curves(stages, TrainOptions(), folder)
        with Image.open(folder / "training_curves.png") as picture:
            pictures.append(np.asarray(picture.convert("L")))
    # The same points; only the mark and its entry in the legend tell the pictures apart.
    marked, unmarked = pictures
    assert (marked != unmarked).sum() > 100


@pytest.mark.parametrize("stages", [TWO_STAGES, ONE_STAGE], ids=["two stages", "head only"])
def test_the_history_comes_back_as_it_was(stages: Stages, tmp_path: Path) -> None:
    write_history(stages, tmp_path)
    content = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))
    assert Stages(**content | {"images": TrainingImages(**content["images"])}) == stages


def test_the_report_counts_what_a_known_confusion_gives(tmp_path: Path) -> None:
    report = _report(labels=[0, 0, 0, 0, 1, 1, 2, 2, 2, 2], predicted=[0, 0, 0, 1, 1, 2, 2, 2, 2, 0], folder=tmp_path)
    assert report["split"] == "eval"
    assert report["accuracy"] == pytest.approx(7 / 10)
    expected = {"Crack": (3 / 4, 3 / 4, 4), "Größer": (1 / 2, 1 / 2, 2), "Sound": (3 / 4, 3 / 4, 4)}
    for name, (precision, recall, support) in expected.items():
        f1 = 2 * precision * recall / (precision + recall)
        assert report[name] == pytest.approx(
            {"precision": precision, "recall": recall, "f1-score": f1, "support": support}
        )


def test_a_class_that_eval_lacks_counts_nothing(tmp_path: Path) -> None:
    report = _report(labels=[0, 0, 2], predicted=[0, 2, 2], folder=tmp_path)
    assert report["Größer"] == {"precision": 0, "recall": 0, "f1-score": 0, "support": 0}
    assert report["Crack"] == pytest.approx({"precision": 1, "recall": 1 / 2, "f1-score": 2 / 3, "support": 2})


def test_a_perfect_classifier_has_ones_only(tmp_path: Path) -> None:
    report = _report(labels=[0, 1, 2], predicted=[0, 1, 2], folder=tmp_path)
    for name in (*CLASSES, "macro avg", "weighted avg"):
        assert [report[name][measure] for measure in ("precision", "recall", "f1-score")] == [1, 1, 1]


def test_the_report_is_about_the_decision_at_its_threshold(tmp_path: Path) -> None:
    # Scores of "Crack": 0.7, 0.4, 0.2 of cracks and 0.4, 0.1 of sound images; "Sound" has the rest.
    scores = np.array([[score, 0.0, 1 - score] for score in (0.7, 0.4, 0.2, 0.4, 0.1)]) + 1e-9
    # The logits of a network too sure of itself, and with a prior of its own.
    calibration = Calibration(2.0, (1.0, -0.5, -0.5))
    logits, labels = 2 * (np.log(scores) - calibration.bias), np.array([0, 0, 0, 2, 2])
    decision = Decision((0,), 0.25)
    paths = [f"{number}.jpg" for number in range(5)]
    findings = describe_threshold(decision, calibration.scores(logits), labels, CLASSES, paths, 0.6, 0.5)
    write_classification_report(labels, logits, CLASSES, calibration, decision, findings, tmp_path)
    report = json.loads((tmp_path / "classification_report.json").read_text(encoding="utf-8"))
    assert report["accuracy"] == pytest.approx(3 / 5)
    assert report["Crack"] == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1-score": 2 / 3, "support": 3})
    assert report["Sound"] == pytest.approx({"precision": 1 / 2, "recall": 1 / 2, "f1-score": 1 / 2, "support": 2})
    assert ThresholdFindings.model_validate(report["decision"]) == findings
    assert findings.positive_classes == ["Crack"] and findings.threshold == 0.25
    assert (findings.positives, findings.found, findings.target_recall, findings.given_up) == (3, 2, 0.6, 0)
    assert (findings.precision, findings.recall) == pytest.approx((2 / 3, 2 / 3))
    assert [(image.path, image.actual) for image in findings.check_labels] == [("3.jpg", "Sound"), ("2.jpg", "Crack")]
    error = report["calibration"]["expected_calibration_error"]
    # Of the highest scores 0.7, 0.6, 0.8, 0.6 and 0.9 those of the first, the fourth and the last are right.
    assert error["after"] == pytest.approx((0.3 + 0.2 + 0.8 + 0.1) / 5)
    assert 0 <= error["before"] <= 1 and error["before"] != pytest.approx(error["after"])
    assert report["calibration"]["temperature"] == 2 and report["calibration"]["bias"] == [1, -0.5, -0.5]


def test_without_a_positive_class_the_report_has_no_decision(tmp_path: Path) -> None:
    assert "decision" not in _report(labels=[0, 1, 2], predicted=[0, 1, 2], folder=tmp_path)


@pytest.mark.parametrize("decision", [Decision((0,), 0.25), None], ids=["positive class", "none"])
def test_the_reliability_diagram_shows_before_and_after(decision: Decision | None, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=200)
    logits = np.eye(3)[labels] * 2 + rng.normal(0, 2, (200, 3))
    pictures = []
    for number, calibration in enumerate((AS_IS, Calibration(3.0, (0.5, 0.0, -0.5)))):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_reliability(labels, logits, CLASSES, calibration, decision, folder)
        with Image.open(folder / "reliability.png") as picture:
            assert picture.format == "PNG" and min(picture.size) >= 500
            pictures.append(np.asarray(picture.convert("RGB")))
    # Two coloured lines, of which the calibrated one hides the other when nothing was done.
    as_is, calibrated = pictures
    assert (np.abs(as_is.astype(int) - calibrated).sum(axis=2) > 60).sum() > 500
