"""The summary of a run as tables, for people."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crackgate.plural import counted
from crackgate.runs.next_steps import NextStep
from crackgate.runs.summary import Summary
from crackgate_cli.tables.gate import print_gate

_LONGEST_LIST = 5


def print_summary(console: Console, summary: Summary, summary_file: str, steps: Sequence[NextStep] = ()) -> None:
    """Prints images, metrics, durations, verdict, where things are, and what next."""
    console.print()
    if summary.images.found:
        _print_images(console, summary)
    if summary.training_images is not None:
        console.print(f"training: {summary.training_images.in_words()}", highlight=False)
    if summary.threshold is not None:
        console.print(" ".join(summary.threshold.sentences()), highlight=False, soft_wrap=True, markup=False)
    if summary.evaluation is not None:
        print_gate(console, summary.evaluation)
    if summary.serving is not None:
        console.print(f"serving check: {summary.serving.in_words()}", highlight=False, soft_wrap=True)
    if summary.components:
        _print_components(console, summary)
    _print_verdict(console, summary)
    if summary.report_error:
        console.print(f"[bold red]no report[/]   {escape(summary.report_error)}", highlight=False, soft_wrap=True)
    console.print(f"summary     {summary_file}", highlight=False, soft_wrap=True, markup=False)
    outputs = (("report", "report"), ("model card", "model_card"), ("data page", "data_page"), ("labels", "label_list"))
    for name, output in (*outputs, ("curves", "training_curves")):
        if output in summary.outputs:
            console.print(f"{name:<12}{summary.outputs[output]}", highlight=False, soft_wrap=True, markup=False)
    console.print(f"log         {summary.log}", highlight=False, soft_wrap=True, markup=False)
    for step in steps:
        console.print(f"{step.about:<12}{step.said}", highlight=False, soft_wrap=True, markup=False)


def _print_verdict(console: Console, summary: Summary) -> None:
    colour = "green" if summary.exit_code == 0 else "red"
    name = summary.verdict.upper()
    console.print(f"[bold {colour}]{name}[/]{summary.headline[len(name) :]}", highlight=False)
    for reason in summary.reasons:
        console.print(f"  {escape(reason)}", highlight=False, soft_wrap=True)
    if summary.pushed_to:
        console.print(f"model       {summary.pushed_to}", highlight=False, soft_wrap=True, markup=False)


def _print_title(console: Console, title: str) -> None:
    console.print(f"[bold]{title}[/]", highlight=False)


def _print_images(console: Console, summary: Summary) -> None:
    images = summary.images
    _print_title(console, f"Images: {images.found} found, {images.ingested} ingested, {images.rejected_count} rejected")
    table = Table()
    table.add_column("split")
    for label in summary.classes:
        table.add_column(escape(label), justify="right")
    table.add_column("all", justify="right")
    for split, counts in images.splits.items():
        table.add_row(split, *(str(counts[label]) for label in summary.classes), str(sum(counts.values())))
    if images.splits:
        told = ("yes" if label in summary.positive.names else "no" for label in summary.classes)
        table.add_section()
        table.add_row("positive", *told, "")
        console.print(table)
    if len(summary.classes) > 1:
        warning = "" if summary.positive.names else "[yellow]warning:[/] "
        words = escape(summary.positive.in_words(summary.classes))
        console.print(warning + words, highlight=False, soft_wrap=True)
    if images.ignored:
        said = ", ".join(f"{kind} ({count:,})" for kind, count in images.ignored.items())
        console.print(f"ignored: {said}", highlight=False, soft_wrap=True)
    if images.groups:
        console.print(f"they form {counted(images.groups, 'group')}, each in one split", highlight=False)
    if images.copies is not None:
        console.print(
            f"leak check: {counted(images.copies, 'pair')} of copies, {images.leaks} across splits", highlight=False
        )
    if words := images.overlaps_in_words():
        console.print(f"[yellow]warning:[/] {escape(words)}", highlight=False, soft_wrap=True)
    if summary.drift is not None:
        console.print(f"drift check: {summary.drift.in_words()}", highlight=False, soft_wrap=True)
    for separation in summary.separations:
        console.print(f"[yellow]warning:[/] {escape(separation.in_words())}", highlight=False, soft_wrap=True)
    if summary.scale is not None and summary.scale.warning:
        console.print(f"[yellow]warning:[/] {escape(summary.scale.warning)}", highlight=False, soft_wrap=True)
    if summary.doubtful_labels.found:
        words = escape(summary.doubtful_labels.in_words())
        console.print(f"[yellow]warning:[/] {words}", highlight=False, soft_wrap=True)
    if images.warnings:
        console.print(f"with warnings: {counted(images.warnings_count, 'image')}, see the summary", highlight=False)
    for reason, count in images.rejected_by_reason.items():
        paths = [row.path for row in images.rejected if row.reason == reason]
        shown = ", ".join(map(repr, paths[:_LONGEST_LIST])) + (", ..." if count > _LONGEST_LIST else "")
        console.print(f"rejected as {reason}: {count}: {escape(shown)}", highlight=False, soft_wrap=True)


def _print_components(console: Console, summary: Summary) -> None:
    _print_title(console, f"Time: {summary.seconds:.0f} s in all, start-up and report included")
    table = Table()
    table.add_column("component")
    table.add_column("seconds", justify="right")
    # There is nothing to say where every step ran to its end.
    if any(component.state != "complete" for component in summary.components):
        table.add_column("")
    for component in summary.components:
        state = "" if component.state == "complete" else component.state
        table.add_row(component.name, f"{component.seconds:.1f}", *([state] if len(table.columns) > 2 else []))
    console.print(table)
