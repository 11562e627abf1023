"""Reports that are made without a run."""

from pathlib import Path

from crackgate.config.configuration import Config
from crackgate.contracts.evaluation import NotableImage, NotableImages
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.contracts.verdict import Verdict
from crackgate.report.content import Provenance, Report, ReportImages, Training, describe_checks, explain
from crackgate.runs.summary import Summary, begin_summary
from tests.helpers.filled_summary import CLASSES, POSITIVE
from tests.helpers.parsed_page import ParsedPage

HOSTILE = "<script>alert(1)</script>|`*_#\n\x00\u202e]("
LINKS = {"data_page": "../../pipeline/DataPage/page/4/data.html", "log": "../../logs/a.log"}
PICTURES = ReportImages("data:image/jpeg;base64,AAAA", "data:image/jpeg;base64,BBBB", "data:image/jpeg;base64,CCCC")


class LinedPage(ParsedPage):
    """With its text line by line."""

    def handle_data(self, data: str) -> None:
        self.text += " ".join(data.split()) + "\n" if data.strip() else ""


def make_report(summary: Summary, images: NotableImages | None = None, drawn: bool = False) -> Report:
    """With charts only where these are looked at: they take a second and more."""
    if summary.evaluation and not drawn:
        evaluation = summary.evaluation.model_copy(update={"curve": [], "reliability": []})
        summary = summary.model_copy(update={"evaluation": evaluation})
    summary = summary.model_copy(update={"outputs": {"keras_model": "/w/classifier.keras"}})
    losses = {name: [0.5, 0.25] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    return Report(
        headline=summary.headline,
        explanation=explain(summary),
        checks=describe_checks(summary),
        run=summary,
        training=Training(head=losses, fine_tune=losses, fine_tune_kept=True) if drawn else None,
        notable_images=images,
        images_missing="",
        provenance=Provenance(python="3.11", packages={"tfx": "1.21.0"}, commit="c0ffee", data_fingerprint="ab" * 32),
    )


def make_notable_images(path: str = "Positive/a.jpg") -> NotableImages:
    wrong = NotableImage(path=path, actual=POSITIVE, label="Negative", scores={"Negative": 0.8765, "Positive": 0.1235})
    return NotableImages(
        scored=60,
        misclassified=1,
        shown="misclassified",
        by_class={"Negative": [], "Positive": [wrong]},
        listed={"misclassified": [wrong]},
    )


def empty_summary(verdict: Verdict) -> Summary:
    summary = begin_summary(
        "id", Path("/d"), CLASSES, PositiveClasses(names=(POSITIVE,), chosen_by="names"), Config(), Path("/l")
    )
    summary.judges_only = verdict == Verdict.PASSED
    summary.conclude(verdict, ["interrupted during Trainer"])
    return summary
