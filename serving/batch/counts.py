"""Counts of a scored set. Without heavy imports."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from crackgate.contracts.answer import Answer
from crackgate.plural import counted


@dataclass
class PredictionCounts:
    """Images in all (`rows`), those that could not be scored, and those of each class; a Beam run's `summary.json`.

    `unfamiliar` are those unlike the training images; None of a release that cannot tell.
    """

    rows: int = 0
    errors: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    unfamiliar: int | None = None

    def in_words(self, classes: Sequence[str], positive_classes: Sequence[str]) -> str:
        """For instance "7 images: 5 Negative, 1 Positive, 1 error; 2 unlike the training images"."""
        said = [f"{self.labels.get(name, 0):,} {name}" for name in classes]
        if len(positive_classes) > 1:
            said.append(f"{sum(self.labels.get(name, 0) for name in positive_classes):,} positive in all")
        said.append(counted(self.errors, "error"))
        unfamiliar = "" if self.unfamiliar is None else f"; {self.unfamiliar:,} unlike the training images"
        return f"{counted(self.rows, 'image')}: {', '.join(said)}{unfamiliar}"

    def add(self, answer: Answer) -> None:
        """Counts one image."""
        self.rows += 1
        if answer.unfamiliarity is not None:
            self.unfamiliar = (self.unfamiliar or 0) + answer.is_unfamiliar
        if answer.error:
            self.errors += 1
        else:
            self.labels[answer.label] = self.labels.get(answer.label, 0) + 1
