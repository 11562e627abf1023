"""What the gate found out about a model: every requirement with its outcome, and the figures behind it."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, Field

# The name of the slice that holds every test image.
ALL_IMAGES = "all images"


class Outcome(StrEnum):
    """How a requirement ended. WARNED: too few images to decide on; it does not stop the release."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"


class Figure(BaseModel):
    """A metric's value with its confidence interval.

    Attributes:
        value: The estimate; None when it is not a number, as over no images.
        low: Lower end of the interval; None when none was computed.
        high: Upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


class Requirement(BaseModel):
    """One line of the gate.

    Attributes:
        metric: For example "recall".
        label: The class that it is about; None when it is about all.
        slice: Name of the slice of the test images, `ALL_IMAGES` for all of them.
        images: Test images in the slice; only those of the class when it is about one.
        figure: The candidate's; with `change`, its difference from the baseline's, as a share of it when relative.
        baseline: The metric of the model in service; None when there is none, or it is not compared.
        change: Whether the bound is on the difference from the baseline.
        bound: What is required.
        direction: "at least" or "at most".
        judged_by: What is held against the bound.
        outcome: How it ended.
    """

    metric: str
    label: str | None = None
    slice: str = ALL_IMAGES
    images: int
    figure: Figure
    baseline: Figure | None = None
    change: Literal["", "absolute", "relative"] = ""
    bound: float
    direction: Literal["at least", "at most"]
    judged_by: Literal["estimate", "lower bound", "upper bound"]
    outcome: Outcome


class SliceFigures(BaseModel):
    """The metrics over one slice of the test images.

    Attributes:
        name: `ALL_IMAGES`, "dark", "class Positive", ...
        images: Test images in it.
        figures: By metric; those of one class as "recall of Positive".
        baseline: The same of the model in service; empty when there is none.
    """

    name: str
    images: int
    figures: dict[str, Figure]
    baseline: dict[str, Figure] = Field(default_factory=dict)


class ThresholdPoint(BaseModel):
    """Confusion counts of the positive class when images scoring `threshold` (0 to 1) or more are called positive."""

    threshold: float
    true_positives: float
    false_positives: float
    true_negatives: float
    false_negatives: float


class ReliabilityBin(BaseModel):
    """Images whose score of the positive class is alike: mean score and the share that is really positive, 0 to 1."""

    mean_score: float
    share_positive: float
    images: int


class Comparison(BaseModel):
    """Candidate and model in service on the same images (McNemar's test, exact, two-sided).

    Attributes:
        only_candidate_right: Images that only the candidate answered rightly.
        only_baseline_right: Images that only the model in service answered rightly.
        p_value: Probability of so uneven a split of these when both models are equally good.
    """

    only_candidate_right: int
    only_baseline_right: int
    p_value: float


class Answer(BaseModel):
    """One test image and what the model said of it.

    Attributes:
        path: Below the data folder.
        actual: The class of its folder.
        label: The class that the model gave.
        scores: The score of each class, 0 to 1; None where it is not a number.
    """

    path: str
    actual: str
    label: str
    scores: dict[str, float | None]


class Answers(BaseModel):
    """The test images that are worth a look.

    Attributes:
        scored: Test images, all scored through the model's `serving_default`.
        wrong: Those of them that were answered wrongly.
        shown: "wrong": the wrong answers that the model was surest of. "least certain": there is no wrong answer, and
            these are the right ones that the model was least sure of.
        by_class: By actual class, the surest wrong or the least certain right answer first.
    """

    scored: int
    wrong: int
    shown: Literal["wrong", "least certain"]
    by_class: dict[str, list[Answer]]


class Evaluation(BaseModel):
    """The Evaluator's output.

    Attributes:
        positive_class: The class whose score the decision threshold is held against; None: the highest score decides.
        threshold: The model's own decision threshold; None as above.
        requirements: The gate, line by line.
        warnings: What to mind about them, in sentences.
        slices: All metrics, `ALL_IMAGES` first; slices without an image are left out.
        confusion: Test images by actual class, then by the label that the model gave; "" is a label that is no class.
        comparison: None when there is no model in service.
        curve: By rising threshold; empty without a positive class.
        reliability: By rising score; empty without a positive class.
    """

    positive_class: str | None = None
    threshold: float | None = None
    requirements: list[Requirement] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    slices: list[SliceFigures] = Field(default_factory=list)
    confusion: dict[str, dict[str, int]] = Field(default_factory=dict)
    comparison: Comparison | None = None
    curve: list[ThresholdPoint] = Field(default_factory=list)
    reliability: list[ReliabilityBin] = Field(default_factory=list)
    # To look at. The report has them beside the evaluation; None where that was read from a summary.
    answers: Answers | None = Field(default=None, exclude=True)
