"""What a person looks at after a training: curves and a classification report."""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import classification_report

from trainer.transfer import Stages

CURVES_FILE = "training_curves.png"
REPORT_FILE = "classification_report.json"
HISTORY_FILE = "history.json"


def write_curves(stages: Stages, folder: Path) -> None:
    """Draws loss and accuracy of train and eval per epoch, the stages one after the other."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, measure in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        train = [*stages.head[measure], *stages.fine_tune.get(measure, [])]
        validation = [*stages.head[f"val_{measure}"], *stages.fine_tune.get(f"val_{measure}", [])]
        epochs = range(1, len(train) + 1)
        axes.plot(epochs, train, marker=".", label="train")
        axes.plot(epochs, validation, marker=".", label="eval")
        if stages.fine_tune:
            axes.axvline(len(stages.head[measure]) + 0.5, color="grey", linestyle=":", label="fine-tuning starts")
        axes.set(xlabel="epoch", title=measure)
        axes.legend()
    figure.savefig(folder / CURVES_FILE, dpi=120)


def write_history(stages: Stages, folder: Path) -> None:
    """Writes the same numbers as JSON."""
    content = {"head": stages.head, "fine_tune": stages.fine_tune, "fine_tune_kept": stages.fine_tune_kept}
    (folder / HISTORY_FILE).write_text(json.dumps(content, indent=2))


def write_classification_report(labels: np.ndarray, logits: np.ndarray, classes: list[str], folder: Path) -> None:
    """Writes precision, recall, F1 and support of each class on the eval split.

    Args:
        labels: int (images,).
        logits: float (images, classes); the highest decides.
        classes: Class names in label order.
        folder: Receives `classification_report.json`.
    """
    report = classification_report(
        labels,
        logits.argmax(axis=1),
        labels=range(len(classes)),
        target_names=classes,
        output_dict=True,
        zero_division=0.0,
    )
    (folder / REPORT_FILE).write_text(json.dumps({"split": "eval", **report}, indent=2))
