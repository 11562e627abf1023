"""The runs of a workspace as one page: its releases, all runs with links to their reports, and two side by side."""

import os
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2.utils import htmlsafe_json_dumps
from matplotlib.figure import Figure

from crackgate.atomic_files import write_text
from crackgate.contracts.evaluation import MetricValue, find_metric
from crackgate.contracts.verdict import EXIT_CODES
from crackgate.gate import wording
from crackgate.local_time import say_duration, say_time
from crackgate.pages.chart_style import Colour, draw_chart
from crackgate.pages.shown_text import show
from crackgate.pages.templates import render_html
from crackgate.report.files import PAGE_FILE
from crackgate.runs.comparison import RunFacts, read_facts
from crackgate.runs.history import History, Run, RunEntry
from crackgate.runs.summary import SUMMARY_FILE

_TEMPLATE = Path(__file__).with_name("index_page.html.jinja")
_SCRIPT = (files(__package__) / "index_page.js").read_text(encoding="utf-8")
# Outputs of `Summary`, by the texts of their links.
_OUTPUTS = {"data page": "data_page", "model card": "model_card", "labels": "label_list"}
# Inches.
_SPARKLINE = (4.6, 1.7)
# Releases that a sparkline shows.
_MOST_RELEASES = 200


def write_index_page(history: History, wanted: Callable[[RunEntry], bool], file: Path) -> None:
    """Writes a page that loads nothing from outside itself; links are relative to the page, as it lies.

    `wanted` chooses the runs. Raises OSError if it cannot be written.
    """
    runs = {run.run_id: run for run in history.runs}
    entries = [entry for entry in map(history.describe, history.runs) if wanted(entry)]
    shown = {entry.run_id for entry in entries}
    keys = list(dict.fromkeys(value.key for entry in entries for value in entry.metrics))
    releases = [history.describe(run) for run in history.releases if run.run_id in shown]
    page = render_html(
        _TEMPLATE,
        script=_SCRIPT,
        workspace=str(history.workspace.root),
        entries=entries,
        production=next((entry for entry in releases if entry.in_production), None),
        releases=len(releases),
        metrics=keys,
        metric_names=[wording.say_metric(*key) for key in keys],
        sparklines=list(_sparklines(releases[-_MOST_RELEASES:], keys)),
        links={entry.run_id: _links(history, runs[entry.run_id], file) for entry in entries},
        passed=lambda entry: EXIT_CODES.get(entry.verdict) == 0,
        facts=htmlsafe_json_dumps(_facts(history, [runs[entry.run_id] for entry in entries])),
        find_metric=find_metric,
        say_time=say_time,
        say_duration=say_duration,
        wording=wording,
    )
    write_text(file, page)


def _links(history: History, run: Run, page: Path) -> dict[str, str]:
    """Addresses of what the run left behind and is there, by the texts of the links."""
    folder = history.workspace.runs / run.run_id
    paths = {"report": folder / PAGE_FILE, "summary": folder / SUMMARY_FILE}
    if run.summary is not None:
        outputs = run.summary.outputs
        paths |= {text: Path(outputs[name]) for text, name in _OUTPUTS.items() if name in outputs}
        paths["log"] = Path(run.summary.log)
    there = {text: os.path.relpath(path, page.resolve().parent) for text, path in paths.items() if path.exists()}
    return {text: quote(os.fsencode(path)) for text, path in there.items()}


def _sparklines(
    releases: Sequence[RunEntry], keys: Sequence[tuple[str, str | None]]
) -> Iterator[tuple[str, dict[str, str], str]]:
    """Title, drawing and alternative text of each metric that two releases have."""
    for key in keys:
        found = [(entry, find_metric(entry.metrics, *key)) for entry in releases]
        known = [(entry, value) for entry, value in found if value is not None and value.value is not None]
        if len(known) > 1:
            title = wording.say_metric(*key)
            values = (f"version {entry.version}: {wording.say_estimate(value)}" for entry, value in known)
            yield (
                title,
                _draw_sparkline([_with_interval(value) for _, value in known]),
                f"{title} by release. {'; '.join(values)}.",
            )


def _with_interval(value: MetricValue) -> tuple[float, float, float]:
    """Value, low and high; of a value without an interval three times the value."""
    middle = value.value or 0.0
    return middle, middle if value.low is None else value.low, middle if value.high is None else value.high


def _draw_sparkline(values: Sequence[tuple[float, float, float]]) -> dict[str, str]:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        places = range(1, len(values) + 1)
        middles, lows, highs = zip(*values, strict=True)
        axes.fill_between(places, lows, highs, color=Colour.BARS, alpha=0.4, linewidth=0)
        axes.plot(places, middles, marker="o", markersize=3, color=Colour.FIRST)
        axes.set_xticks([1, len(values)], ["first", "last"])

    return draw_chart(_SPARKLINE, draw)


def _facts(history: History, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The facts that the page's script puts side by side; equal numbers in `splits` mean the same test images."""
    known = [read_facts(history, run) for run in runs]
    splits = list({str(facts.splits): None for facts in known if facts.splits is not None})
    same = {name for name, values in _by_field(known).items() if len(values) == 1}
    return [
        {
            "run": show(run.run_id),
            "splits": None if facts.splits is None else splits.index(str(facts.splits)),
            "configured": facts.configuration is not None,
            "metrics": {
                show(wording.say_metric(*value.key)): [_say_value(value), value.value] for value in facts.metrics
            },
            "Data": _say(facts.data),
            "Configuration": {name: text for name, text in _say(facts.configuration or {}).items() if name not in same},
            "Versions": _say(facts.packages) | _say({name: digest[:12] for name, digest in facts.code.items()}),
            "Seconds": {name: f"{seconds:.1f}" for name, seconds in facts.seconds.items()},
        }
        for run, facts in zip(runs, known, strict=True)
    ]


def _by_field(known: Sequence[RunFacts]) -> dict[str, set[str]]:
    """The values of each field of the configuration: what is the same in all runs needs no room on the page."""
    values: dict[str, set[str]] = {}
    for facts in known:
        for name, text in _say(facts.configuration or {}).items():
            values.setdefault(name, set()).add(text)
    complete = [facts.configuration for facts in known if facts.configuration is not None]
    return {name: found for name, found in values.items() if all(name in fields for fields in complete)}


def _say_value(value: MetricValue) -> str:
    interval = wording.say_interval(value)
    return f"{wording.say_estimate(value)} ({interval})" if interval else wording.say_estimate(value)


def _say(fields: dict[str, Any]) -> dict[str, str]:
    return {name: show(str(value)) for name, value in fields.items() if value is not None}
