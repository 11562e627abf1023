"""The images whose labels are doubtful: the right ones of either split, with their pictures."""

from pathlib import Path

import numpy as np

from crackgate.contracts.doubtful_label import TrainingDoubts
from crackgate.contracts.training_files import DOUBTS_FILE
from tests.helpers.stored_images import write_images
from trainer.export.doubtful_labels import write_doubtful_labels
from trainer.features.views import TrainingViews, Views

CLASSES = ["Negative", "Positive"]
TRAIN, EVAL = 120, 60


def _write(file: Path, count: int, wrong: list[int]) -> Views:
    """Dark and bright images with features that tell their brightness, some of them with the other one's label."""
    rng = np.random.default_rng(count)
    bright = np.arange(count) % 2
    labels = bright.copy()
    labels[wrong] = 1 - labels[wrong]
    grey = (60 + 120 * bright).astype(np.uint8)
    write_images(file, np.broadcast_to(grey[:, None, None, None], (count, 8, 8, 3)), labels)
    features = rng.normal(0, 1, (count, 1, 20)) + 20 * (bright[:, None, None] - 0.5)
    return Views(None, features.astype(np.float32), labels)


def _doubts(tmp_path: Path, train: Views, evaluation: Views) -> TrainingDoubts:
    files = [str(tmp_path / "train")], [str(tmp_path / "eval")]
    write_doubtful_labels(TrainingViews(train, evaluation), *files, CLASSES, tmp_path)
    return TrainingDoubts.model_validate_json((tmp_path / DOUBTS_FILE).read_bytes())


def test_wrong_labels_of_both_splits_are_named_with_pictures(tmp_path: Path) -> None:
    train, evaluation = _write(tmp_path / "train", TRAIN, [3, 40]), _write(tmp_path / "eval", EVAL, [7])
    doubts = _doubts(tmp_path, train, evaluation)
    assert doubts.judged == TRAIN + EVAL
    assert sorted((doubt.split, doubt.path, doubt.label, doubt.likely) for doubt in doubts.found) == [
        ("eval", "image 8", "Negative", "Positive"),
        ("train", "image 4", "Negative", "Positive"),
        ("train", "image 41", "Positive", "Negative"),
    ]
    assert [doubt.score for doubt in doubts.found] == sorted((doubt.score for doubt in doubts.found), reverse=True)
    assert doubts.thumbnails.keys() == {"image 4", "image 8", "image 41"}
    assert len(set(doubts.thumbnails.values())) == 2, "a dark and a bright picture"


def test_too_few_images_are_not_judged(tmp_path: Path) -> None:
    train, evaluation = _write(tmp_path / "train", 40, [3]), _write(tmp_path / "eval", 20, [])
    assert _doubts(tmp_path, train, evaluation) == TrainingDoubts()
