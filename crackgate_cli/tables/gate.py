"""The gate's requirements as a table."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import ALL_IMAGES, Evaluation, Outcome, Requirement, find_metric
from crackgate.contracts.positive_names import POSITIVE
from crackgate.gate.wording import say_estimate, say_found, say_found_interval, say_required, say_subject
from crackgate.plural import counted

_STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "bold red", Outcome.WARNED: "yellow"}
# Beyond these lines, only what did not pass, and what concerns all images or positive ones, is shown.
_MOST_LINES = 16


def print_gate(console: Console, evaluation: Evaluation) -> None:
    """Prints the requirements with their outcomes, the warnings, and the comparison with the model in production."""
    images = next((part.images for part in evaluation.slices if part.name == ALL_IMAGES), 0)
    console.print(f"[bold]Gate: {counted(images, 'test image')}[/]", highlight=False)
    print_requirements(console, evaluation.requirements, evaluation.positive_classes)
    if evaluation.unfamiliar_in_words:
        console.print(evaluation.unfamiliar_in_words, highlight=False)
    _print_comparison(console, evaluation)
    for warning in evaluation.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False, soft_wrap=True)


def print_requirements(console: Console, rows: list[Requirement], positive_classes: Sequence[str]) -> None:
    """Prints requirements; of many, those that did not pass, or are about all images or positive ones."""
    shown = rows
    if len(rows) > _MOST_LINES:
        told = {None, POSITIVE, *positive_classes} if len(positive_classes) > 1 else {None, *positive_classes}
        shown = [row for row in rows if row.outcome != Outcome.PASSED or row.label in told]
    table = Table(
        "metric", *(Column(name, justify="right", no_wrap=True) for name in ("value", "interval", "required"))
    )
    table.add_column("", no_wrap=True)
    for row in shown:
        table.add_row(*_cells(row))
    console.print(table)
    if left_out := len(rows) - len(shown):
        console.print(f"{left_out} more passed: see the summary", highlight=False)


def _cells(row: Requirement) -> tuple[str, ...]:
    images = "" if row.slice == ALL_IMAGES else f" ({row.images})"
    outcome = f"[{_STYLES[row.outcome]}]{row.outcome.value}[/]"
    required = f"{'' if row.judged_by == 'estimate' else 'bound '}{say_required(row)}"
    return escape(say_subject(row) + images), say_found(row), say_found_interval(row), required, outcome


def _print_comparison(console: Console, evaluation: Evaluation) -> None:
    comparison = evaluation.comparison
    if comparison is None:
        console.print("no other released model to compare with", highlight=False)
        return
    accuracy = find_metric(evaluation.slices[0].baseline, metric_names.ACCURACY)
    console.print(
        f"accuracy of the model in production: {say_estimate(accuracy)}; images that only the new one gets right: "
        f"{comparison.only_candidate_right}, only that one: {comparison.only_baseline_right} (McNemar's exact test: "
        f"p = {comparison.p_value:.3f})",
        highlight=False,
        soft_wrap=True,
    )
