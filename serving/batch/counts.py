"""Counts of a scored set. Without heavy imports."""

from dataclasses import dataclass, field

from crackgate.contracts.answer import Answer


@dataclass
class PredictionCounts:
    """Images in all (`rows`), those that could not be scored, and those of each class; a Beam run's `summary.json`."""

    rows: int = 0
    errors: int = 0
    labels: dict[str, int] = field(default_factory=dict)

    def add(self, answer: Answer) -> None:
        """Counts one image."""
        self.rows += 1
        if answer.error:
            self.errors += 1
        else:
            self.labels[answer.label] = self.labels.get(answer.label, 0) + 1
