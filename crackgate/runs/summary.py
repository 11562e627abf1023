"""The summary of a run: `runs/<run id>/summary.json` and the closing table."""

import importlib.metadata
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from crackgate.atomic_files import write_text
from crackgate.config.configuration import Config
from crackgate.contracts.account import Account
from crackgate.contracts.doubtful_label import DoubtfulLabels
from crackgate.contracts.drift_findings import DriftFindings
from crackgate.contracts.evaluation import Evaluation
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.contracts.scale_findings import ScaleFindings
from crackgate.contracts.separation import Separation
from crackgate.contracts.serving_findings import ServingFindings
from crackgate.contracts.threshold_findings import ThresholdFindings
from crackgate.contracts.training_images import TrainingImages
from crackgate.contracts.verdict import EXIT_CODES, Verdict
from crackgate.local_time import Moment
from crackgate.plural import counted
from crackgate.storage.location import Location

SUMMARY_FILE = "summary.json"


class Images(Account):
    """Every file below the data folder, and the checks' findings about the images.

    Attributes:
        fingerprint: Changes with every file added, removed, renamed or rewritten; "" if ingest did not finish.
        copies: Pairs of copies that the leak check found; None when it was not reached.
        leaks: Pairs among these that cross two splits.
        overlaps: Pairs of images that overlap and cross two splits; only given splits and named groups let them.
        overlap_examples: The first of these, each with its split.
    """

    fingerprint: str = ""
    copies: int | None = None
    leaks: int | None = None
    overlaps: int = 0
    overlap_examples: list[tuple[str, str]] = Field(default_factory=list)

    def overlaps_in_words(self) -> str:
        """The warning, in one sentence without its full stop; "" without such pairs."""
        if not self.overlaps:
            return ""
        one, other = self.overlap_examples[0]
        return (
            f"{counted(self.overlaps, 'pair')} of images in two splits may show the same place, such as {one!r} and "
            f"{other!r}: the splits are not independent; put such images into one split"
        )


class ComponentTime(BaseModel):
    """One step of the run; `state` is "complete", "cached" or "failed".

    `peak_memory` is the most resident memory of the run's processes during the step, in bytes.
    """

    name: str
    state: str
    seconds: float
    peak_memory: int | None = None


class Summary(BaseModel):
    """One run; None stands for a step that it did not reach.

    Attributes:
        started: Local time, ISO 8601.
        seconds: From the start of the command to its end; in the report, to its beginning.
        positive: The classes that must not be missed, and who said so.
        judges_only: Whether `crackgate gate` made the run, which releases nothing.
        exit_code: See `EXIT_CODES`.
        threshold: How the model's decision threshold was chosen; None, too, where the highest score decides.
        training_images: How much of the training images the model has learnt from.
        reasons: Sentences that say why the model was not released, or waits, or was refused by `crackgate gate`.
        separations: Qualities of the images that tell a class apart by themselves: warnings.
        scale: Sizes of the training images, and the images of other splits that are out of them.
        doubtful_labels: Images whose labels may be wrong: warnings.
        pushed_version: The released or staged version; None without one.
        pushed_to: Its folder.
        outputs: Paths of the report, the training curves and other outputs, by name.
        report_error: Says why there is no report; None when there is one.
    """

    run_id: str
    crackgate_version: str
    started: Moment
    seconds: float = 0
    data: str
    classes: list[str]
    positive: PositiveClasses = PositiveClasses()
    config: dict[str, Any]
    judges_only: bool = False
    verdict: Verdict = Verdict.FAILED
    exit_code: int = 1
    reasons: list[str] = Field(default_factory=list)
    images: Images = Images()
    separations: list[Separation] = Field(default_factory=list)
    scale: ScaleFindings | None = None
    doubtful_labels: DoubtfulLabels = DoubtfulLabels()
    drift: DriftFindings | None = None
    threshold: ThresholdFindings | None = None
    training_images: TrainingImages | None = None
    evaluation: Evaluation | None = None
    serving: ServingFindings | None = None
    pushed_version: int | None = None
    pushed_to: str | None = None
    components: list[ComponentTime] = Field(default_factory=list)
    outputs: dict[str, str] = Field(default_factory=dict)
    report_error: str | None = None
    log: str

    @property
    def headline(self) -> str:
        """The verdict in one sentence that begins with its name."""
        sentences = {
            Verdict.RELEASED: f" as version {self.pushed_version}",
            Verdict.UNCHANGED: f": an earlier run released this very model as version {self.pushed_version}",
            Verdict.STAGED: f" as version {self.pushed_version}: it waits for approval",
            Verdict.PASSED: ": the model passed the gate",
            Verdict.REFUSED: ": the model did not pass its checks",
            Verdict.WITHDRAWN: ": the model was withdrawn before",
            Verdict.DATA_REJECTED: ": the data did not pass its checks",
            Verdict.FAILED: ": the run came to no verdict",
        }
        return self.verdict.capitalize() + sentences[self.verdict]

    def conclude(self, verdict: Verdict, reasons: list[str]) -> None:
        """Sets the verdict, its exit code and its reasons."""
        self.verdict, self.exit_code, self.reasons = verdict, EXIT_CODES[verdict], reasons

    def write(self, folder: Path) -> None:
        """Writes `summary.json`, complete or not at all."""
        write_text(folder / SUMMARY_FILE, self.model_dump_json(indent=2))


def begin_summary(
    run_id: str,
    data: Location,
    classes: list[str],
    positive: PositiveClasses,
    config: Config,
    log: Path,
    began: float | None = None,
) -> Summary:
    """Returns the summary of a run that starts now, or at `began` in seconds since 1970."""
    return Summary(
        run_id=run_id,
        crackgate_version=importlib.metadata.version("crackgate"),
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(began)),
        data=str(data),
        classes=classes,
        positive=positive,
        config=config.model_dump(mode="json", by_alias=True),
        log=str(log),
    )
