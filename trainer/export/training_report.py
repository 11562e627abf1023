"""The training report: curves, a reliability diagram, a classification report and the history."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import classification_report

from crackgate.config.train import TrainOptions
from crackgate.contracts.positive_names import say_score
from crackgate.contracts.threshold_findings import ThresholdFindings
from crackgate.contracts.training_files import CURVES_FILE, HISTORY_FILE, RELIABILITY_FILE, REPORT_FILE
from crackgate.model.calibration import Calibration, expected_calibration_error
from crackgate.model.decision import Decision, decide, positive_score
from trainer.fit.stages import Stages


def write_curves(stages: Stages, options: TrainOptions, folder: Path) -> None:
    """Draws loss and accuracy of train and eval per epoch, the stages one after the other."""
    eval_images = "eval, as it is and augmented" if options.views > 1 else "eval"
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, measure in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        train = [*stages.head[measure], *stages.fine_tune.get(measure, [])]
        validation = [*stages.head[f"val_{measure}"], *stages.fine_tune.get(f"val_{measure}", [])]
        epochs = range(1, len(train) + 1)
        axes.plot(epochs, train, marker=".", label="train")
        axes.plot(epochs, validation, marker=".", label=eval_images)
        if stages.fine_tune:
            axes.axvline(len(stages.head[measure]) + 0.5, color="grey", linestyle=":", label="fine-tuning starts")
        axes.set(xlabel="epoch", title=measure)
        axes.legend()
    figure.savefig(folder / CURVES_FILE, dpi=120)


def write_history(stages: Stages, folder: Path) -> None:
    """Writes losses and accuracies of each epoch as JSON."""
    content = {
        "head": stages.head,
        "fine_tune": stages.fine_tune,
        "fine_tune_kept": stages.fine_tune_kept,
        "images": stages.images.model_dump(),
    }
    (folder / HISTORY_FILE).write_text(json.dumps(content, indent=2))


def write_classification_report(
    labels: np.ndarray,
    logits: np.ndarray,
    classes: list[str],
    calibration: Calibration,
    decision: Decision | None,
    findings: ThresholdFindings | None,
    folder: Path,
) -> None:
    """Writes metrics of the exported model on the eval split to `classification_report.json`.

    Per class: precision, recall, F1 and support. Under `calibration`: temperature, bias, and the expected calibration
    error before and after. The error after is optimistic, because these images fitted the calibration. Under
    `decision`, with a positive class: the threshold and what it does on eval.
    `labels` are int (images,), `logits` float (images, classes).
    """
    scores = calibration.scores(logits)
    per_class = classification_report(
        labels,
        decide(scores, decision),
        labels=range(len(classes)),
        target_names=classes,
        output_dict=True,
        zero_division=0.0,
    )
    report = {
        "split": "eval",
        **per_class,
        "calibration": {
            **asdict(calibration),
            "expected_calibration_error": {
                "before": expected_calibration_error(softmax(logits, axis=1), labels),
                "after": expected_calibration_error(scores, labels),
            },
        },
    }
    if findings is not None:
        report["decision"] = findings.model_dump()
    (folder / REPORT_FILE).write_text(json.dumps(report, indent=2))


def write_reliability(
    labels: np.ndarray,
    logits: np.ndarray,
    classes: list[str],
    calibration: Calibration,
    decision: Decision | None,
    folder: Path,
) -> None:
    """Draws the reliability diagram, before and after calibration, over ten bins of the score.

    The score is the sum of the positive classes', or without one the highest of each image.
    """
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    for name, scores in (("before", softmax(logits, axis=1)), ("calibrated", calibration.scores(logits))):
        if decision is None:
            score, happened = scores.max(axis=1), scores.argmax(axis=1) == labels
        else:
            score, happened = positive_score(scores, decision.labels), np.isin(labels, decision.labels)
        share, mean = calibration_curve(happened, score, n_bins=10)
        axes.plot(mean, share, marker="o", label=name)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfectly calibrated")
    if decision is not None:
        axes.axvline(decision.threshold, color="black", linewidth=1, label=f"threshold {decision.threshold:.4g}")
    axes.set(
        xlabel="highest score" if decision is None else say_score(_names(decision, classes)),
        ylabel="accuracy" if decision is None else f"share of {' or '.join(_names(decision, classes))}",
        title=f"{len(labels)} eval images",
    )
    axes.legend()
    figure.savefig(folder / RELIABILITY_FILE, dpi=120)


def _names(decision: Decision, classes: list[str]) -> list[str]:
    return [classes[label] for label in decision.labels]
