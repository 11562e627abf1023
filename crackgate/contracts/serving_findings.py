"""The findings of ServingCheck about an exported model: its output, a part of the summary and the report."""

from typing import Literal

from pydantic import BaseModel, Field


class ServingCheckResult(BaseModel):
    """One check; the detail says what was found, or why it was skipped."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str


class ServingFindings(BaseModel):
    """The answers of an exported model in a process that has only TensorFlow, as far as they matter.

    Attributes:
        measure_again: Whether only time or memory refused it, which a busy machine may lack for a while.
        reasons: Why it was refused, in sentences.
        checks: In the order in which they were made; empty for a model that the Evaluator refused.
        metrics: `load_seconds`, `peak_memory_mib`, and milliseconds of a call with one image and with many (32):
            `p50_ms_one`, `p99_ms_one`, `p50_ms_many`, `p99_ms_many`.
    """

    passed: bool
    measure_again: bool = False
    reasons: list[str] = Field(default_factory=list)
    checks: list[ServingCheckResult] = Field(default_factory=list)
    metrics: dict[str, float] = Field(default_factory=dict)

    def in_words(self) -> str:
        """The findings in a few words."""
        outcomes = [check.outcome for check in self.checks]
        passed, skipped = outcomes.count("passed"), outcomes.count("skipped")
        words = [f"{passed} of {len(outcomes) - skipped} checks passed"]
        words += [f"{check.name} skipped, {check.detail}" for check in self.checks if check.outcome == "skipped"]
        if "p99_ms_one" in self.metrics:
            median, slowest = self.metrics["p50_ms_one"], self.metrics["p99_ms_one"]
            words.append(f"one image in {median:.0f} ms, at most {slowest:.0f} ms")
        if "peak_memory_mib" in self.metrics:
            words.append(f"{self.metrics['peak_memory_mib']:,.0f} MiB")
        return "; ".join(words)
