"""Writes the report's files: everything that a run leaves behind besides its summary."""

import json
import logging
import os
import traceback
from pathlib import Path

from pydantic import BaseModel, ValidationError

from crackgate.atomic_files import write_text
from crackgate.config.configuration import Config
from crackgate.contracts.account import LABEL_CONFLICT
from crackgate.contracts.doubtful_label import LISTED, TrainingDoubts
from crackgate.contracts.errors import WrongQuestionError
from crackgate.contracts.evaluation import NotableImages
from crackgate.contracts.stored_example import TEST_SPLIT
from crackgate.contracts.verdict import Verdict
from crackgate.own_code import import_own
from crackgate.pages.thumbnails import make_icon, shrink, to_data_uri
from crackgate.plural import counted
from crackgate.report.content import Report, ReportImages, Training, describe_checks, explain
from crackgate.report.gates_xml import render_gates
from crackgate.report.label_list import write_label_list
from crackgate.report.model_card import CARD_FOLDER, render_model_card
from crackgate.report.page import render_page
from crackgate.report.provenance import read_provenance
from crackgate.runs.summary import SUMMARY_FILE, Summary
from crackgate.source_digest import code_digest

log = logging.getLogger("crackgate")

PAGE_FILE = "report.html"
JSON_FILE = "report.json"
GATES_FILE = "gates.xml"
LABELS_FILE = "labels_to_check.csv"
KEPT_FILE = "notable_images.json"
# Pixels, of the longer side.
_SHEET_SIDE = 1600


class _Kept(BaseModel):
    """Stays in the model's artifact, so that a run that takes over the model need not draw again."""

    examples: str
    code_digest: str
    notable_images: NotableImages
    doubtful: list[str]
    drawn: dict[str, ReportImages]


def write_report(summary: Summary, folder: Path) -> dict[str, str]:
    """Writes `report.html`, `report.json` and `gates.xml` of an ended run; returns paths by name in `Summary.outputs`.

    A released model that has none yet gets its model card, too.
    """
    written = {name: str(folder / file) for name, file in (("report", PAGE_FILE), ("report_json", JSON_FILE))}
    written["gates"] = str(folder / GATES_FILE)
    if summary.pushed_to:
        # Beside the version, in which nothing changes any more.
        version = Path(summary.pushed_to)
        serving_dir = version.parents[1] if summary.verdict == Verdict.STAGED else version.parent
        written["model_card"] = str(serving_dir / CARD_FOLDER / f"{version.name}.md")
    label_list = _write_label_list(summary, folder / LABELS_FILE)
    if (folder / LABELS_FILE).exists():
        written["label_list"] = str(folder / LABELS_FILE)
    run = summary.model_copy(update={"outputs": summary.outputs | written})
    images, drawn, missing = _draw_images(run)
    drawn = _training_thumbnails(run) | drawn
    report = Report(
        headline=run.headline,
        explanation=explain(run),
        checks=describe_checks(run),
        run=run,
        training=_read_training(run),
        notable_images=images,
        images_missing=missing,
        label_list=label_list,
        provenance=read_provenance(run.images.fingerprint),
    )
    write_text(folder / JSON_FILE, report.model_dump_json(indent=2))
    write_text(folder / GATES_FILE, render_gates(report))
    card = Path(written["model_card"]) if "model_card" in written else None
    # A run that takes over everything releases the same version again, which has its card already.
    if card is not None and not card.exists():
        card.parent.mkdir(exist_ok=True)
        write_text(card, render_model_card(report))
    write_text(folder / PAGE_FILE, render_page(report, drawn, _links(run, folder), _read_sheet(run)))
    return written


def _links(run: Summary, folder: Path) -> dict[str, str]:
    """Addresses relative to the page, so that they stay right when the workspace moves as a whole."""
    paths = {**run.outputs, "log": run.log, "summary": str(folder / SUMMARY_FILE)}
    return {name: Path(os.path.relpath(path, folder)).as_posix() for name, path in paths.items()}


def _read_training(run: Summary) -> Training | None:
    file = run.outputs.get("history")
    return Training.model_validate(json.loads(Path(file).read_text(encoding="utf-8"))) if file else None


def _read_sheet(run: Summary) -> str:
    """The sheet of augmented training images as a data URI; "" where there is none."""
    if (file := run.outputs.get("augmentation_sheet")) is None:
        return ""
    sheet = shrink(Path(file).read_bytes(), _SHEET_SIDE)
    return to_data_uri(sheet) if sheet else ""


def _write_label_list(run: Summary, file: Path) -> str:
    """Writes the list where labels are doubtful, and says what it is for, or why there is none; "" without doubts."""
    if not run.doubtful_labels.found and LABEL_CONFLICT not in run.images.rejected_by_reason:
        return ""
    try:
        left_out = write_label_list(run, Config.model_validate(run.config).data, file)
    except (OSError, WrongQuestionError) as error:
        return f"There is no list of all labels to correct: {error}."
    said = f"{LABELS_FILE} lists all images, the doubtful ones first. Correct its labels, and run again with --labels."
    missing = f" It leaves out {counted(left_out, 'image')} with names that no such table can hold." if left_out else ""
    return said + missing


def _training_thumbnails(run: Summary) -> dict[str, ReportImages]:
    """Images of the training whose labels are doubtful, by path."""
    if (file := run.outputs.get("doubtful_labels")) is None:
        return {}
    doubts = TrainingDoubts.model_validate_json(Path(file).read_bytes())
    return {path: ReportImages(uri, "", make_icon(uri)) for path, uri in doubts.thumbnails.items()}


def _draw_images(run: Summary) -> tuple[NotableImages | None, dict[str, ReportImages], str]:
    """The notable images, how they are drawn, and why they are not: such a report is still worth having."""
    images = run.evaluation.notable_images if run.evaluation else None
    if images is None or not {"model", "examples"} <= run.outputs.keys():
        return images, {}, ""
    model, examples = Path(run.outputs["model"]), Path(run.outputs["examples"])
    doubtful = [doubt.path for doubt in run.doubtful_labels.found[:LISTED] if doubt.split == TEST_SPLIT]
    sources = code_digest("crackgate.report.image_samples", "crackgate.report.grad_cam")
    kept_file = model.parent / KEPT_FILE
    kept = _read_kept(kept_file)
    asked = str(examples), sources, images, doubtful
    if kept and (kept.examples, kept.code_digest, kept.notable_images, kept.doubtful) == asked:
        return images, kept.drawn, ""
    try:
        from crackgate.report.image_samples import draw

        log.info("drawing heat maps")
        for field, name in Config.model_validate(run.config).train.own_functions().items():
            # Registers the layers of a model of the user's own.
            import_own(field, name)
        keras_file = run.outputs.get("keras_model")
        model_file = Path(keras_file) if keras_file else None
        drawn = draw(images, doubtful, model_file, examples, run.classes, run.positive.names)
    except Exception as error:
        log.info("%s", "".join(traceback.format_exception(error)))
        return images, {}, f"The images cannot be shown: {type(error).__name__}: {error}"
    kept = _Kept(examples=str(examples), code_digest=sources, notable_images=images, doubtful=doubtful, drawn=drawn)
    write_text(kept_file, kept.model_dump_json())
    return images, drawn, ""


def _read_kept(file: Path) -> _Kept | None:
    """The images that an earlier run kept; None when this version of the code finds none that it can read."""
    try:
        return _Kept.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
