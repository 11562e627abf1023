"""Runs as tables, for people."""

from collections.abc import Callable, Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from crackgate.contracts.evaluation import Estimate, find_metric
from crackgate.contracts.verdict import Verdict
from crackgate.gate.wording import NOT_A_NUMBER, say_interval, say_metric
from crackgate.local_time import say_duration, say_time
from crackgate.pages.shown_text import show
from crackgate.plural import counted
from crackgate.runs.comparison import Pair, RunComparison
from crackgate.runs.details import Link, RunDetails
from crackgate.runs.history import RunEntry, Unconcluded

_COLOURS = {
    Verdict.RELEASED: "green",
    Verdict.UNCHANGED: "green",
    Verdict.PASSED: "green",
    Verdict.STAGED: "yellow",
    Unconcluded.RUNNING: "yellow",
}
_UNKNOWN = "-"
# A version is seconds since 1970.
_DIGITS = 10


def print_runs(console: Console, runs: list[RunEntry]) -> None:
    """Prints one line for each run."""
    metrics = list(dict.fromkeys(value.key for run in runs for value in run.metrics))
    named = ["name and tags"] if any(run.name or run.tags for run in runs) else []
    table = _table("run", *named, "verdict", *(say_metric(*key) for key in metrics), "duration", "version")
    table.columns[-1].min_width = _DIGITS
    for run in runs:
        table.add_row(
            escape(run.run_id),
            *(_named(run) for _ in named),
            _verdict(run),
            *(_value(find_metric(run.metrics, *key)) for key in metrics),
            _duration(run.seconds),
            _version(run, earlier=" again"),
        )
    console.print(table)
    for problem in (problem for run in runs for problem in run.problems):
        _say(console, f"warning: {problem}")
    _say(console, "metrics, durations and failures are from summary.json, everything else is from ML Metadata")


def print_details(console: Console, details: RunDetails) -> None:
    """Prints what a run came to, and its lineage."""
    run = details.run
    console.print(f"[bold]{escape(run.run_id)}[/]  {_verdict(run)}", highlight=False)
    for reason in (*run.reasons, *run.problems):
        _say(console, f"  {reason}")
    facts = {
        **({"name": run.name} if run.name else {}),
        **({"tags": ", ".join(run.tags)} if run.tags else {}),
        "version": _version(run, earlier=f", by run {run.released_by}"),
        "started": say_time(run.started),
        "duration": _duration(run.seconds),
        "verdict is from": run.verdict_from,
        "summary": details.summary or _UNKNOWN,
        "report": details.report or _UNKNOWN,
    }
    for value in run.metrics:
        facts[say_metric(*value.key)] = f"{_with_interval(value)} on {counted(run.test_images or 0, 'test image')}"
    _say_facts(console, facts)
    for note in run.notes:
        _say(console, f"note of {say_time(note.when)} by {note.who}: {note.text}")
    _print_lineage(console, details)


def print_comparison(console: Console, comparison: RunComparison) -> None:
    """Prints two runs side by side."""
    first, second = comparison.first, comparison.second
    heading = _table("", "first", "second")
    heading.add_row("run", escape(first.run_id), escape(second.run_id))
    for name, cell in _HEADING.items():
        heading.add_row(name, cell(first), cell(second))
    console.print(heading)
    _print_pairs(console, "Data", comparison.data)
    _say(console, _splits_sentence(comparison))
    _print_metrics(console, comparison)
    if comparison.configuration is None:
        _say(console, "configuration: not known of a run without a summary")
    elif comparison.configuration:
        _print_pairs(console, "Configuration, where it differs", comparison.configuration)
    else:
        _say(console, "configuration: the same")
    _print_pairs(console, "Versions, and code that differs", comparison.versions, _shortened)
    _print_pairs(console, "Seconds", comparison.seconds, lambda seconds: f"{seconds:.1f}")


def _print_lineage(console: Console, details: RunDetails) -> None:
    if not details.links:
        _say(console, "lineage: ML Metadata knows of no step towards a model in this run")
        return
    console.print("[bold]Lineage[/], back to the data", highlight=False)
    for link in details.links:
        _print_link(console, link, details.run.run_id)
    if details.baseline is not None:
        model = details.baseline.model
        released = "" if details.baseline.version is None else f", version {details.baseline.version}"
        by = "" if details.baseline.run_id is None else f", released by run {details.baseline.run_id}"
        _say(console, f"baseline: model {model.id}{released}{by}")
        _say(console, f"    {model.uri}{_gone(model.gone)}")
    elif any(link.component == "Evaluator" for link in details.links):
        _say(console, "baseline: none, no other model was released before")
    if details.data is not None:
        _say(console, "data")
        _say(console, f"    folder       {details.data.folder}")
        _say(console, f"    fingerprint  {details.data.fingerprint or _UNKNOWN}")


def _print_link(console: Console, link: Link, run_id: str) -> None:
    taken_over = "" if link.run_id == run_id else f", taken over from run {link.run_id}"
    state = "" if link.state == "complete" else f", {link.state}"
    _say(console, f"{link.component}: execution {link.execution}{state}{taken_over}")
    for made in link.made:
        note = f" ({made.note})" if made.note else ""
        _say(console, f"    made {made.name} {made.id}{note}  {made.uri}{_gone(made.gone)}")
    if link.used:
        used = (f"{name} {', '.join(map(str, ids))}" for name, ids in link.used.items())
        _say(console, f"    from {', '.join(used)}")


def _print_metrics(console: Console, comparison: RunComparison) -> None:
    if not comparison.metrics:
        _say(console, "metrics: neither run has any in its summary")
        return
    console.print("[bold]Metrics[/], over all test images, with their intervals", highlight=False)
    table = _table("", "first", "second", "difference")
    for pair in comparison.metrics:
        difference = _UNKNOWN if pair.difference is None else f"{pair.difference:+.4f}"
        table.add_row(
            escape(say_metric(*pair.key)), _with_interval(pair.first), _with_interval(pair.second), difference
        )
    console.print(table)


def _splits_sentence(comparison: RunComparison) -> str:
    splits = comparison.splits
    if splits.same is None:
        return "splits: not known, because one of the runs never split its images"
    if splits.same:
        return "splits: the same, so the metrics are of the same test images"
    return (
        f"splits: not known to be the same, because of another {', another '.join(splits.differing)}: metrics of "
        "different test images are not comparable, so no differences are given"
    )


def _print_pairs(console: Console, title: str, pairs: Mapping[str, Pair], shown: Callable[..., str] = str) -> None:
    console.print(f"[bold]{title}[/]", highlight=False)
    table = _table("", "first", "second")
    for name, pair in pairs.items():
        cells = (_UNKNOWN if value is None else escape(shown(value)) for value in (pair.first, pair.second))
        table.add_row(escape(name), *cells)
    console.print(table)


def _table(first: str, *headings: str) -> Table:
    """Folds what is too long rather than cut it off, and keeps the names in the first column whole."""
    return Table(Column(first, no_wrap=True), *(Column(escape(heading), overflow="fold") for heading in headings))


def _say(console: Console, line: str) -> None:
    console.print(show(line), highlight=False, soft_wrap=True, markup=False)


def _say_facts(console: Console, facts: Mapping[str, str]) -> None:
    width = max(map(len, facts))
    for name, fact in facts.items():
        _say(console, f"{name:<{width}}  {fact}")


def _verdict(run: RunEntry) -> str:
    colour = _COLOURS.get(run.verdict, "red")
    return f"[{colour}]{run.verdict}[/]"


def _named(run: RunEntry) -> str:
    tags = f"[{', '.join(run.tags)}]" if run.tags else ""
    return escape(show(" ".join(filter(None, [run.name, tags])))) or _UNKNOWN


def _version(run: RunEntry, earlier: str) -> str:
    """`earlier` is added when another run released it first."""
    if run.version is None:
        return _UNKNOWN
    since = f" ({run.version_state})" if run.version_state else ""
    return f"{run.version}{'' if run.released_by == run.run_id else earlier}{since}"


def _duration(seconds: float | None) -> str:
    return _UNKNOWN if seconds is None else say_duration(seconds)


def _with_interval(estimate: Estimate | None) -> str:
    interval = say_interval(estimate)
    return f"{_value(estimate)} ({interval})" if interval else _value(estimate)


def _value(estimate: Estimate | None) -> str:
    if estimate is None:
        return _UNKNOWN
    return NOT_A_NUMBER if estimate.value is None else f"{estimate.value:.4f}"


def _gone(gone: bool) -> str:
    return "  (no longer there)" if gone else ""


def _shortened(version: str) -> str:
    """Keeps the first digits of a digest."""
    return version[:12]


_HEADING: dict[str, Callable[[RunEntry], str]] = {
    "started": lambda run: say_time(run.started),
    "verdict": _verdict,
    "version": lambda run: _version(run, earlier=f", by run {run.released_by}"),
    "duration": lambda run: _duration(run.seconds),
}
