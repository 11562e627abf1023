"""The gate in the closing words of a run."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crackgate.contracts.evaluation import ALL_IMAGES, Evaluation, Figure, Outcome, Requirement

_STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.WARNED: "yellow"}
# Beyond these lines, only what did not pass, and what concerns all images or the positive class, is shown.
_MOST_LINES = 16


def print_gate(console: Console, evaluation: Evaluation) -> None:
    """Prints the requirements with their outcomes, what to mind, and the comparison with the model in service."""
    images = next((part.images for part in evaluation.slices if part.name == ALL_IMAGES), 0)
    console.print(f"[bold]Gate: {images} test images[/]", highlight=False)
    shown = _choose(evaluation)
    table = Table()
    table.add_column("metric")
    for name in ("value", "interval", "required"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in shown:
        table.add_row(*_cells(row))
    console.print(table)
    if left_out := len(evaluation.requirements) - len(shown):
        console.print(f"{left_out} more passed: see the summary", highlight=False)
    _print_comparison(console, evaluation)
    for warning in evaluation.warnings:
        console.print(f"[yellow]mind[/] {escape(warning)}", highlight=False, soft_wrap=True)


def _choose(evaluation: Evaluation) -> list[Requirement]:
    rows = evaluation.requirements
    if len(rows) <= _MOST_LINES:
        return rows
    return [row for row in rows if row.outcome != Outcome.PASSED or row.label in (None, evaluation.positive_class)]


def _cells(row: Requirement) -> tuple[str, ...]:
    name = row.metric.replace("_", " ") + (f" of {escape(row.label)}" if row.label else "")
    if row.change:
        name = f"{'relative ' if row.change == 'relative' else ''}change of {name}"
    if row.slice != ALL_IMAGES:
        name += f", {escape(row.slice)} ({row.images})"
    sign = "≥" if row.direction == "at least" else "≤"
    outcome = f"[{_STYLES[row.outcome]}]{row.outcome.value}[/]"
    required = f"{'' if row.judged_by == 'estimate' else 'bound '}{sign} {_number(row.bound)}"
    return name, _value(row.figure), _interval(row.figure), required, outcome


def _value(figure: Figure) -> str:
    return "no number" if figure.value is None else _number(figure.value)


def _interval(figure: Figure) -> str:
    return "" if figure.low is None or figure.high is None else f"{figure.low:.3f} to {figure.high:.3f}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value == 0 or value > 1 else f"{value:.4f}"


def _print_comparison(console: Console, evaluation: Evaluation) -> None:
    comparison = evaluation.comparison
    if comparison is None:
        console.print("no other released model to compare with", highlight=False)
        return
    accuracy = evaluation.slices[0].baseline["accuracy"].value
    console.print(
        f"accuracy of the model in service: {'no number' if accuracy is None else f'{accuracy:.4f}'}; images that only "
        f"the new one gets right: {comparison.only_candidate_right}, only that one: {comparison.only_baseline_right} "
        f"(McNemar's exact test: p = {comparison.p_value:.3f})",
        highlight=False,
        soft_wrap=True,
    )
