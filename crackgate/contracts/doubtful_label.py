"""Labels that may be wrong, for a person to check: a finding of Trainer and Evaluator, part of the summary."""

from pydantic import BaseModel, Field

# So many are shown with their pictures, and so many stand in the list of images; `labels_to_check.csv` has all.
SHOWN, LISTED = 24, 100


class DoubtfulLabel(BaseModel):
    """One image whose looks speak for another class.

    Attributes:
        path: Below the data folder; bytes that are no UTF-8 are written with backslashes.
        split: The split that it is in.
        label: Its class.
        likely: The class that its looks speak for.
        score: The score of `likely`, 0 to 1, by a model that never saw this image's label.
    """

    path: str
    split: str
    label: str
    likely: str
    score: float

    def in_words(self) -> str:
        """For instance "looks like Positive (score 0.98)"."""
        return f"looks like {self.likely} (score {self.score:.2f})"


class DoubtfulLabels(BaseModel):
    """All of them among so many images that were judged, the most doubtful first."""

    judged: int = 0
    found: list[DoubtfulLabel] = Field(default_factory=list)

    def joined(self, other: "DoubtfulLabels") -> "DoubtfulLabels":
        """Those of other images, too."""
        both = sorted([*self.found, *other.found], key=lambda doubt: (-doubt.score, doubt.path))
        return DoubtfulLabels(judged=self.judged + other.judged, found=both)

    def in_words(self) -> str:
        """The warning, in one sentence without its full stop."""
        return (
            f"{len(self.found):,} of {self.judged:,} labels may be wrong: check these images in the report; nothing "
            "was changed or removed"
        )


class TrainingDoubts(DoubtfulLabels):
    """Those of the images that a training saw, with data URIs of the first ones by path."""

    thumbnails: dict[str, str] = Field(default_factory=dict)
