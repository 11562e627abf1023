"""The results of a run's components, gathered through what ML Metadata recorded."""

import json
import os
from pathlib import Path
from typing import Any

from tfx.dsl.io import fileio
from tfx.utils import path_utils

from components.data_page.artifact import PAGE_FILE
from components.shared.local_artifact import local_path
from crackgate.config.configuration import Config
from crackgate.contracts.doubtful_label import DoubtfulLabels
from crackgate.contracts.drift_findings import DriftFindings
from crackgate.contracts.scale_findings import ScaleFindings
from crackgate.contracts.separation import Separation
from crackgate.contracts.serving_findings import ServingFindings
from crackgate.contracts.threshold_findings import ThresholdFindings
from crackgate.contracts.training_files import (
    AUGMENTATION_FILE,
    AUGMENTATION_SHEET_FILE,
    CURVES_FILE,
    DOUBTS_FILE,
    HISTORY_FILE,
    KERAS_FILE,
    RELIABILITY_FILE,
    REPORT_FILE,
)
from crackgate.contracts.training_images import TrainingImages
from crackgate.gate.rules import gate_rules
from crackgate.runs.lineage import Execution
from crackgate.runs.summary import Images, Summary

# TFX's ExampleGen gives its artifact this property.
_FINGERPRINT = "input_fingerprint"
_TRAINING_FILES = {
    "training_curves": CURVES_FILE,
    "reliability": RELIABILITY_FILE,
    "classification_report": REPORT_FILE,
    "history": HISTORY_FILE,
    "doubtful_labels": DOUBTS_FILE,
    "keras_model": KERAS_FILE,
}
_AUGMENTATION_FILES = {"augmentation": AUGMENTATION_FILE, "augmentation_sheet": AUGMENTATION_SHEET_FILE}


def gather_results(summary: Summary, executions: dict[str, Execution], config: Config) -> None:
    """Fills in findings, evaluation, and where the outputs are, as far as the run came.

    `executions` are by component. The summary's outputs name the model, where the run has no Trainer.
    """
    done = {component: execution for component, execution in executions.items() if execution.succeeded}
    _add_findings(summary, done)
    _add_outputs(summary, done)
    if "Evaluator" in done:
        # A run that was stopped earlier has no use for TFMA, which takes seconds to import.
        from pipeline.tfma_results import read_evaluation

        summary.evaluation = read_evaluation(
            done["Evaluator"].outputs["evaluation"][0].uri,
            Path(summary.outputs["model"]),
            summary.classes,
            summary.positive.names,
            gate_rules(summary.classes, summary.positive.names, config.gate),
        )
        summary.doubtful_labels = summary.doubtful_labels.joined(summary.evaluation.doubtful_labels)


def _add_findings(summary: Summary, done: dict[str, Execution]) -> None:
    if "ImageExampleGen" in done:
        summary.images = Images.model_validate(_read(done["ImageExampleGen"], "account"))
        examples = done["ImageExampleGen"].outputs["examples"][0]
        summary.images.fingerprint = examples.properties[_FINGERPRINT]
        summary.outputs["examples"] = examples.uri
        summary.outputs["account_rows"] = done["ImageExampleGen"].outputs["rows"][0].uri
    if "DataPage" in done:
        summary.separations = [Separation.model_validate(row) for row in _read(done["DataPage"], "separations")]
        summary.scale = ScaleFindings.model_validate(_read(done["DataPage"], "scale"))
    if "LeakCheck" in done:
        leaks = _read(done["LeakCheck"], "findings")
        summary.images.copies, summary.images.leaks = leaks["pairs"], leaks["leaks"]
        summary.images.overlaps = leaks["overlaps"]
        summary.images.overlap_examples = [(one, other) for one, other in leaks["overlap_examples"]]
    if "DriftCheck" in done:
        summary.drift = DriftFindings.model_validate(_read(done["DriftCheck"], "findings"))
    if "ServingCheck" in done:
        findings = ServingFindings.model_validate(_read(done["ServingCheck"], "findings"))
        summary.serving = findings if findings.checks else None


def _read(execution: Execution, output: str) -> Any:
    """The content of a JsonValue."""
    with fileio.open(execution.outputs[output][0].uri, "rb") as content:
        return json.loads(content.read())


def _add_outputs(summary: Summary, done: dict[str, Execution]) -> None:
    if "DataPage" in done:
        summary.outputs["data_page"] = os.path.join(done["DataPage"].outputs["page"][0].uri, PAGE_FILE)
    if "Trainer" in done:
        outputs = done["Trainer"].outputs
        folder = local_path(outputs["model_run"][0].uri)
        summary.outputs["tensorboard"] = str(folder)
        summary.outputs["model"] = path_utils.serving_model_path(outputs["model"][0].uri)
        summary.outputs |= {name: str(folder / file) for name, file in _TRAINING_FILES.items()}
        decision = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8")).get("decision")
        summary.threshold = None if decision is None else ThresholdFindings.model_validate(decision)
        summary.outputs |= {
            name: str(folder / file) for name, file in _AUGMENTATION_FILES.items() if (folder / file).exists()
        }
        doubts = (folder / DOUBTS_FILE).read_text(encoding="utf-8")
        summary.doubtful_labels = DoubtfulLabels.model_validate_json(doubts)
        history = json.loads((folder / HISTORY_FILE).read_text(encoding="utf-8"))
        summary.training_images = TrainingImages.model_validate(history["images"])
