"""DriftCheck's findings: its output `findings`, a part of the summary and the report."""

from pydantic import BaseModel

# By split, then by feature: Jensen-Shannon divergence, 0 (alike) to 1 (nothing in common).
Divergences = dict[str, dict[str, float]]


class DriftFindings(BaseModel):
    """Divergences from the last released run (`drift`, None without one), and of eval and test from train (`skew`)."""

    drift: Divergences | None
    skew: Divergences

    def in_words(self) -> str:
        """The findings in a few words."""
        skew = f"largest divergence of eval and test from train {_largest(self.skew):.3f}"
        if self.drift is None:
            return f"{skew}, no statistics of an earlier release of these classes"
        return f"{skew}, from the last release {_largest(self.drift):.3f}"


def _largest(divergences: Divergences) -> float:
    return max((value for split in divergences.values() for value in split.values()), default=0.0)
