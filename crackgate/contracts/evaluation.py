"""The gate's evaluation of a model: every requirement with its outcome, and the metrics behind it."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from crackgate.contracts.doubtful_label import DoubtfulLabels
from crackgate.contracts.positive_names import PositiveNames, positive_label
from crackgate.plural import counted

# The name of the slice that holds every test image.
ALL_IMAGES = "all images"


class Outcome(StrEnum):
    """How a requirement ended. WARNED: too little is known to decide; it does not stop the release."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"


class Estimate(BaseModel):
    """A number with its confidence interval; low and high are None when no interval was computed.

    The value is None when it is not a number, as over no images.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


class MetricKey(BaseModel):
    """A metric by its name in `metric_names`, for example "recall"; about one class, or about all without a label."""

    metric: str
    label: str | None = None

    @property
    def key(self) -> tuple[str, str | None]:
        """Metric and label, hashable."""
        return self.metric, self.label


# In this order the names come before the numbers in JSON.
class MetricValue(Estimate, MetricKey):
    """A metric over some images."""

    # Manifests hold them: an altered name must not read as one that is left out.
    model_config = ConfigDict(extra="forbid")


def find_metric(values: list[MetricValue], metric: str, label: str | None = None) -> MetricValue | None:
    """Returns the value of a metric; None when it is not among them."""
    return next((value for value in values if value.key == (metric, label)), None)


class Requirement(MetricKey):
    """One line of the gate.

    Attributes:
        slice: Name of the slice of the test images, `ALL_IMAGES` for all of them.
        images: Test images in the slice; only those of the class when it is about one.
        estimate: The candidate's metric; with `change`, its difference from the baseline's, a share when relative.
        baseline: The metric of the model in production; None when there is none, or it is not compared.
        bound: The least or the most that is allowed; with `change`, for the difference.
        judged_by: The number that is held against the bound.
    """

    slice: str = ALL_IMAGES
    images: int
    estimate: Estimate
    baseline: Estimate | None = None
    change: Literal["", "absolute", "relative"] = ""
    bound: float
    direction: Literal["at least", "at most"]
    judged_by: Literal["estimate", "lower bound", "upper bound"]
    outcome: Outcome


class SliceMetrics(BaseModel):
    """The candidate's metrics over one slice of the test images.

    The slice is `ALL_IMAGES`, "dark", "class Positive", ...; the `baseline` is empty without a model in production.
    """

    name: str
    images: int
    metrics: list[MetricValue]
    baseline: list[MetricValue] = Field(default_factory=list)


class ThresholdPoint(BaseModel):
    """Confusion counts when images whose positive score is `threshold` (0 to 1) or more are called positive."""

    threshold: float
    true_positives: float
    false_positives: float
    true_negatives: float
    false_negatives: float


class ReliabilityBin(BaseModel):
    """Images whose positive scores are alike: mean score and the share that is really positive, 0 to 1."""

    mean_score: float
    share_positive: float
    images: int


class Comparison(BaseModel):
    """Candidate and model in production on the same images (McNemar's test, exact, two-sided).

    Attributes:
        only_candidate_right: Images that only the candidate classified correctly.
        only_baseline_right: Images that only the model in production classified correctly.
        p_value: Probability of so uneven a split of these when both models are equally good.
    """

    only_candidate_right: int
    only_baseline_right: int
    p_value: float


class NotableImage(BaseModel):
    """One test image: its path below the data folder, its folder's class, and the label that the model gave.

    Scores are 0 to 1; None where one is not a number. `error` says why the model gave none, "" where it did.
    `unfamiliarity` is above 1 where the image is unlike the training images; None where the model cannot tell.
    """

    path: str
    actual: str
    label: str
    scores: dict[str, float | None]
    error: str = ""
    unfamiliarity: float | None = None


class NotableImages(BaseModel):
    """The test images that are worth a look, by actual class.

    The surest error comes first, or the least certain image where nothing was misclassified (`shown`). All `scored`
    test images went through the model's `serving_default`. `listed` has more of them, without pictures, by what is
    notable: the surest errors, the least certain images that are no errors, and those most unlike the training images.
    """

    scored: int
    misclassified: int
    shown: Literal["misclassified", "least certain"]
    by_class: dict[str, list[NotableImage]]
    listed: dict[Literal["misclassified", "least certain", "unfamiliar"], list[NotableImage]] = Field(
        default_factory=dict
    )


class Evaluation(BaseModel):
    """The Evaluator's output.

    Attributes:
        positive_classes: Those whose summed scores, the positive score, are held against the decision threshold; empty:
            the highest score decides.
        threshold: The model's own decision threshold; None as above.
        unfamiliar: Test images that the model finds unlike its training images; None when it cannot tell.
        warnings: In sentences.
        slices: All metrics, `ALL_IMAGES` first; slices without an image are left out.
        confusion: Test images by actual class, then by the label that the model gave; "" is a label that is no class.
        comparison: None when there is no model in production.
        curve: By rising threshold; empty without a positive class.
        reliability: By rising score; empty without a positive class.
    """

    positive_classes: PositiveNames = ()
    threshold: float | None = None
    requirements: list[Requirement] = Field(default_factory=list)
    unfamiliar: int | None = None
    warnings: list[str] = Field(default_factory=list)
    slices: list[SliceMetrics] = Field(default_factory=list)
    confusion: dict[str, dict[str, int]] = Field(default_factory=dict)
    comparison: Comparison | None = None
    curve: list[ThresholdPoint] = Field(default_factory=list)
    reliability: list[ReliabilityBin] = Field(default_factory=list)
    # The report has them beside the evaluation; None where that was read from a summary.
    notable_images: NotableImages | None = Field(default=None, exclude=True)
    # The summary has them with those of the training.
    doubtful_labels: DoubtfulLabels = Field(default=DoubtfulLabels(), exclude=True)

    @property
    def unfamiliar_in_words(self) -> str | None:
        """For instance "7 of 1,500 test images are unlike the training images"; None when the model cannot tell."""
        if self.unfamiliar is None or not self.slices:
            return None
        verb, images = "is" if self.unfamiliar == 1 else "are", counted(self.slices[0].images, "test image")
        return f"{self.unfamiliar:,} of {images} {verb} unlike the training images"

    @property
    def positive(self) -> str | None:
        """The label of metrics about being positive; see `positive_label`."""
        return positive_label(self.positive_classes)
