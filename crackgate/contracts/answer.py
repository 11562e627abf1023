"""The answer of a model for one image."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """The outputs of the SavedModel's signatures for one image.

    Attributes:
        label: The decision; "" where there is an error.
        probability: The calibrated score of that label, 0 to 1; 0 where there is an error.
        scores: The calibrated scores of all classes, in label order; they sum to 1, or are 0 where there is an error.
        is_positive: Whether the positive classes' scores sum to the threshold or more; None without such a class. True
            where there is an error or a score is no number.
        unfamiliarity: How far the image lies from those that the model was trained on, 0 or more; see `is_unfamiliar`.
            0 where there is an error; None of a release that cannot tell.
        model_version: Number of the version, or "unreleased".
        error: Why the image could not be scored; "" where it could.
    """

    label: str
    probability: float
    scores: tuple[float, ...]
    is_positive: bool | None
    unfamiliarity: float | None
    model_version: str
    error: str

    @property
    def is_unfamiliar(self) -> bool:
        """Whether the image is unlike those that the model was trained on: its `unfamiliarity` is above 1."""
        return self.unfamiliarity is not None and not self.unfamiliarity <= 1

    def record(self, classes: Sequence[str]) -> dict[str, Any]:
        """The fields for a table: `scores` by class, None for no error and for all that an error leaves open."""
        if self.error:
            return {**dict.fromkeys(asdict(self)), "model_version": self.model_version, "error": self.error}
        return {**asdict(self), "scores": dict(zip(classes, self.scores, strict=True)), "error": None}
