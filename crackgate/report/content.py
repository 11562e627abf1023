"""The content of a report: `report.json`, from which `report.html` and `gates.xml` are made as well."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field

from crackgate.contracts.evaluation import Evaluation, NotableImage, NotableImages, Outcome
from crackgate.contracts.verdict import Verdict
from crackgate.gate.wording import say_subject
from crackgate.plural import counted
from crackgate.runs.summary import Summary


class CheckOutcome(StrEnum):
    """How a check of the data ended. ERROR: it broke down. SKIPPED: the run ended before, or makes no such check."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


class Check(BaseModel):
    """A check of the data by a component, such as "LeakCheck", with findings in sentences.

    The expectation says how the data should be.
    """

    component: str
    expectation: str
    outcome: CheckOutcome
    findings: list[str] = Field(default_factory=list)


class Training(BaseModel):
    """Loss, accuracy, val_loss and val_accuracy of the training by epoch, the latter two on `eval`.

    Attributes:
        head: The first stage's.
        fine_tune: The second stage's; empty when it was turned off.
        fine_tune_kept: Whether the second stage was kept: it was not clearly worse on `eval`.
    """

    head: dict[str, list[float]]
    fine_tune: dict[str, list[float]] = Field(default_factory=dict)
    fine_tune_kept: bool = False


class ReportImages(NamedTuple):
    """Data URIs of one image, as it is, with Grad-CAM over it and as an icon; "" where it cannot be drawn.

    `heat_map` is "", too, when no pixel raised the score of the label. An image that is only listed has an icon alone.
    """

    image: str
    heat_map: str
    icon: str


class Provenance(BaseModel):
    """Versions of code, packages and data.

    Attributes:
        packages: Versions of the packages that matter most.
        commit: Git commit of the code, followed by " with changes" where files differ from it; "installed package"
            where the code is no checkout.
        data_fingerprint: Changes with every file added, removed, renamed or rewritten; "" when ingest never got there.
    """

    python: str
    packages: dict[str, str]
    commit: str
    data_fingerprint: str


class Report(BaseModel):
    """One run, told in full.

    Attributes:
        schema_version: Rises when a field changes its meaning or disappears.
        explanation: Why the verdict (`headline`) was given, in sentences.
        checks: The data's, in the order in which they are made.
        run: The content of `summary.json`, up to the moment when the report was made.
        training: None when the run did not come to train a model.
        notable_images: None when no model was evaluated.
        images_missing: Why the images are not drawn; "" when they are.
        label_list: What the list of all labels is for, or why there is none; "" where no label is doubtful.
    """

    schema_version: Literal[2] = 2
    headline: str
    explanation: list[str]
    checks: list[Check]
    run: Summary
    training: Training | None
    notable_images: NotableImages | None
    images_missing: str
    label_list: str = ""
    provenance: Provenance


# In the order in which they are made.
CHECKS = {
    "ImageExampleGen": "enough of the files are images, of every class and in every split",
    "DataGate": "the images are what the schema expects, and enough for the gate",
    "DriftCheck": "the images are like those of the last release, and alike in all splits",
    "LeakCheck": "no picture has copies in two splits",
}


def describe_checks(summary: Summary) -> list[Check]:
    """Returns every check of the data with its outcome."""
    states = {component.name: component.state for component in summary.components}
    if summary.verdict == Verdict.DATA_REJECTED and not states:
        # Refused before the pipeline began.
        states["ImageExampleGen"] = "failed"
    checks = []
    for component, expectation in CHECKS.items():
        outcome, findings = CheckOutcome.SKIPPED, []
        if states.get(component) in ("complete", "cached"):
            outcome, findings = CheckOutcome.PASSED, _findings(component, summary)
        elif component in states:
            outcome = CheckOutcome.FAILED if summary.verdict == Verdict.DATA_REJECTED else CheckOutcome.ERROR
            findings = summary.reasons
        checks.append(Check(component=component, expectation=expectation, outcome=outcome, findings=findings))
    return checks


def _findings(component: str, summary: Summary) -> list[str]:
    images = summary.images
    if component == "ImageExampleGen":
        found = counted(images.found, "file")
        return [f"{found} found, {images.ingested:,} ingested, {images.rejected_count:,} rejected"]
    if component == "LeakCheck" and images.copies is not None:
        overlaps = [f"may show the same place: {one!r} and {other!r}" for one, other in images.overlap_examples]
        return [f"{counted(images.copies, 'pair')} of copies, {images.leaks:,} across splits", *overlaps]
    if component == "DriftCheck" and summary.drift is not None:
        return [summary.drift.in_words()]
    return []


def explained_class(image: NotableImage, positives: Sequence[str]) -> str:
    """The class whose heat map says most: the label, but for a missed crack its own class."""
    missed = image.actual in positives and image.label not in positives and not image.error
    return image.actual if missed else image.label


def explain(summary: Summary) -> list[str]:
    """Why the run ended as it did, in sentences."""
    sentences = list(summary.reasons)
    if len(summary.classes) > 1 and not summary.positive.names:
        sentences.append(f"Warning: {summary.positive.in_words(summary.classes)}.")
    if words := summary.images.overlaps_in_words():
        sentences.append(f"Warning: {words}.")
    sentences += [f"Warning: {separation.in_words()}." for separation in summary.separations]
    if summary.scale is not None and summary.scale.warning:
        sentences.append(f"Warning: {summary.scale.warning}.")
    if summary.doubtful_labels.found:
        sentences.append(f"Warning: {summary.doubtful_labels.in_words()}.")
    evaluation = summary.evaluation
    if evaluation is None or not evaluation.requirements:
        return sentences or ["The run ended before anything was decided: see the log."]
    outcomes = [requirement.outcome for requirement in evaluation.requirements]
    met, decided = outcomes.count(Outcome.PASSED), len(outcomes) - outcomes.count(Outcome.WARNED)
    images = max((slice_.images for slice_ in evaluation.slices), default=evaluation.requirements[0].images)
    if decided:
        how_many = ("All " if decided > 1 else "") if met == decided else f"{met:,} of "
        verb = "was" if decided == 1 else "were"
        sentences.append(f"{how_many}{counted(decided, 'requirement')} {verb} met, on {counted(images, 'test image')}.")
    if warned := [say_subject(row) for row in evaluation.requirements if row.outcome == Outcome.WARNED]:
        sentences.append(f"Too few images to decide on: {'; '.join(warned)}.")
    if evaluation.unfamiliar_in_words:
        sentences.append(f"{evaluation.unfamiliar_in_words}.")
    sentences += [f"Warning: {warning}." for warning in evaluation.warnings]
    sentences.append(say_comparison(evaluation))
    return sentences


def say_comparison(evaluation: Evaluation) -> str:
    """How the candidate did against the model in production, in a sentence."""
    comparison = evaluation.comparison
    if comparison is None:
        return "There is no other released model to compare with."
    chance = "is hardly chance" if comparison.p_value < 0.05 else "may well be chance"
    return (
        f"Compared with the model in production on the same images, only the new model classified "
        f"{comparison.only_candidate_right:,} correctly, only the old one {comparison.only_baseline_right:,}. So "
        f"uneven a split {chance} (McNemar's test, p = {comparison.p_value:.3g})."
    )
