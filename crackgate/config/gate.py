"""The section `[gate]`."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from crackgate.config.section import Section, Share
from crackgate.contracts.evaluation import ALL_IMAGES
from crackgate.contracts.metric_names import OVERALL, PER_CLASS, POSITIVE_RECALL, PROPORTIONS

_OF_A_CLASS = (*PER_CLASS, POSITIVE_RECALL)


class SliceOptions(Section):
    """Bounds of the hard images, by their measured qualities (as in [schema])."""

    dark: Annotated[float, Field(ge=0, le=255, description="brightness below which an image is dark")] = 100
    bright: Annotated[float, Field(ge=0, le=255, description="brightness above which it is bright")] = 210
    blurred: Annotated[float, Field(ge=0, description="sharpness below which it is blurred")] = 15
    low_contrast: Annotated[float, Field(ge=0, le=128, description="contrast below which it is of low contrast")] = 6


class RequireOptions(Section):
    """One more requirement, on any metric, over all test images or a slice."""

    metric: Annotated[str, Field(description="a metric's name, such as recall (docs/gate.md)")]
    label: Annotated[
        str,
        Field(description="the class that it is about, for metrics of one class; 'positive' for several positive ones"),
    ] = ""
    slice: Annotated[str, Field(description="'all images', 'dark', 'class Positive', ...")] = ALL_IMAGES
    min: Annotated[float | None, Field(description="least allowed")] = None
    max: Annotated[float | None, Field(description="most allowed")] = None
    max_drop: Annotated[
        float | None,
        Field(ge=0, description="change for the worse against the last released model; else max_slice_drop"),
    ] = None
    max_relative_drop: Annotated[float | None, Field(ge=0, description="the same as a share of that model's")] = None
    judged_by: Annotated[
        Literal["estimate", "bound"] | None,
        Field(description="held against min and max; unset: as gate.positive_recall_by, or the estimate"),
    ] = None

    @field_validator("metric")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in OVERALL + _OF_A_CLASS:
            raise ValueError(f"allowed are {', '.join(OVERALL + _OF_A_CLASS)}")
        return name

    @model_validator(mode="after")
    def _decidable(self) -> Self:
        if (self.metric in _OF_A_CLASS) != bool(self.label):
            need = "a label, the class that it is about" if self.metric in _OF_A_CLASS else "no label: it is about all"
            raise ValueError(f"{self.metric} takes {need}; received label {self.label!r}")
        if {self.min, self.max, self.max_drop, self.max_relative_drop} == {None}:
            raise ValueError("nothing is required: set min, max, max_drop or max_relative_drop")
        if self.judged_by == "bound" and self.metric not in PROPORTIONS:
            raise ValueError(
                f"judged_by 'bound' needs an interval that is exact for few images, too: {', '.join(PROPORTIONS)} have "
                f"one, {self.metric} has not"
            )
        return self


class GateOptions(Section):
    """Requirements on the test split, through the served signature, for a release."""

    min_accuracy: Annotated[Share, Field(description="share of right answers")] = 0.9
    min_auc: Annotated[Share, Field(description="area under the ROC curve, of each class against the rest")] = 0.95
    min_precision: Annotated[Share, Field(description="precision of each class")] = 0.8
    min_recall: Annotated[Share, Field(description="recall of each class")] = 0.8
    positive_recall_by: Annotated[
        Literal["estimate", "lower bound"],
        Field(description="what of each positive class's recall has to reach min_recall, and of all of them together"),
    ] = "lower bound"
    max_accuracy_drop: Annotated[
        Share, Field(description="accuracy that may be lost against the last released model, on the same images")
    ] = 0.01
    max_recall_drop: Annotated[
        Share, Field(description="the same for the recall of each positive class, or of every class when there is none")
    ] = 0.02
    max_slice_drop: Annotated[
        Share, Field(description="the same for each metric that gate.require names, in its slice")
    ] = 0.02
    require: Annotated[tuple[RequireOptions, ...], Field(description="more requirements")] = ()
    min_images: Annotated[
        int, Field(ge=1, le=1_000_000, description="with fewer images in a slice (of the class), it only warns")
    ] = 30
    slices: SliceOptions = SliceOptions()
    confidence: Annotated[
        float,
        Field(
            gt=0, lt=1, description="confidence of the intervals, two-sided: of 0.95, 2.5 % are below the lower bound"
        ),
    ] = 0.95
    fixed_precision: Annotated[Share, Field(description="where recall_at_precision is read off")] = 0.95
    fixed_recall: Annotated[Share, Field(description="where precision_at_recall is read off")] = 0.95
