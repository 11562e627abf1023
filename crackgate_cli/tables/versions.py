"""The output of `crackgate versions` and `crackgate verify`, for machines and for people."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from crackgate.contracts.evaluation import MetricValue, find_metric
from crackgate.contracts.metric_names import ACCURACY
from crackgate.gate.wording import say_metric
from crackgate.local_time import say_time
from crackgate.pages.shown_text import show
from crackgate.plural import counted
from crackgate.releases import Finding, State, Version, list_versions, production_version
from crackgate.releases.records import Event

_COLOURS = {State.RELEASED: "green", State.STAGED: "yellow", State.WITHDRAWN: "yellow", State.INCOMPLETE: "red"}


class VersionEntry(BaseModel):
    """One version; without a manifest, `released`, `run_id` and `bytes` are None.

    `released` is UTC, ISO 8601. `bytes` is the size of its files. `signed` says whether the manifest names a key.
    `problem` is that of `Version`. `events` are its withdrawals, reinstatements and approvals, in order.
    `staged_against` is the version that it was compared with before it was staged, 0 without one; else None.
    """

    version: int
    state: State
    in_production: bool
    folder: str
    released: str | None
    run_id: str | None
    bytes: int | None
    signed: bool
    staged_against: int | None
    metrics: list[MetricValue]
    problem: str
    events: list[Event]


def describe_versions(serving_dir: Path) -> list[VersionEntry]:
    """Returns all versions, the newest first; raises ManifestError as `list_versions` does."""
    in_production = production_version(serving_dir)
    return [_entry(version, version.folder == in_production) for version in reversed(list_versions(serving_dir))]


def describe_finding(finding: Finding) -> dict[str, Any]:
    """A finding for `--json`; without a manifest its `version` is None."""
    manifest = finding.manifest
    return {
        "folder": str(finding.folder),
        "version": manifest.version if manifest else None,
        "intact": finding.intact,
        "problems": finding.problems,
        "signature": finding.signature,
        "files": len(manifest.files) if manifest else 0,
        "differs_from_judged": manifest.differs_from_judged if manifest else [],
    }


def print_versions(console: Console, entries: list[VersionEntry]) -> None:
    """Prints one line for each version, then the events of those that were withdrawn."""
    # A narrow terminal may cut anything but these, which other commands take.
    version, run = (Column(name, no_wrap=True) for name in ("version", "run"))
    table = Table(version, "state", "released", run, Column(say_metric(ACCURACY), justify="right"))
    table.add_column("signed")
    for entry in entries:
        state = f"[{_COLOURS[entry.state]}]{entry.state}{', in production' if entry.in_production else ''}[/]"
        table.add_row(
            str(entry.version),
            state,
            _time(entry.released),
            escape(entry.run_id or "-"),
            _value(find_metric(entry.metrics, ACCURACY)),
            "yes" if entry.signed else "no",
        )
    console.print(table)
    for entry in entries:
        if entry.problem:
            incomplete = " is incomplete" if entry.state == State.INCOMPLETE else ""
            _say(console, f"{entry.version}{incomplete}: {entry.problem}")
        if entry.state == State.STAGED:
            against = f"version {entry.staged_against}" if entry.staged_against else "none"
            _say(console, f"{entry.version} waits for 'crackgate approve'; it was compared with {against}")
        before = State.STAGED if entry.staged_against is not None else State.RELEASED
        for event in entry.events:
            _say(
                console,
                f"{entry.version} was {_done(before, event)} on {_time(event.when)} by {event.who}: {event.why}",
            )
            before = event.state


def print_findings(console: Console, findings: list[Finding]) -> None:
    """Prints for each version that it is as it was released, or every difference."""
    for finding in findings:
        manifest = finding.manifest
        name = escape(str(finding.folder) if manifest is None else f"version {manifest.version}")
        if manifest is None or not finding.intact:
            outcome = "INCOMPLETE" if manifest is None else "ALTERED"
            console.print(f"[bold red]{outcome}[/] {name}", highlight=False, soft_wrap=True)
            for problem in finding.problems:
                _say(console, f"  {problem}")
            continue
        console.print(f"[bold green]intact[/]  {name}", highlight=False, soft_wrap=True)
        anew = ", ".join(manifest.differs_from_judged)
        judged = f"as judged, but {anew}, which says the version's number" if anew else "as judged"
        _say(console, f"  {counted(len(manifest.files), 'file')} {judged}; {finding.signature}")


def _entry(version: Version, in_production: bool) -> VersionEntry:
    manifest = version.manifest
    return VersionEntry(
        version=version.number,
        state=version.state,
        in_production=in_production,
        folder=str(version.folder),
        released=manifest.created if manifest else None,
        run_id=manifest.lineage.run_id if manifest else None,
        bytes=sum(entry.bytes for entry in manifest.files.values()) if manifest else None,
        signed=manifest is not None and manifest.signing_key is not None,
        staged_against=manifest.staged_against if manifest else None,
        metrics=manifest.metrics if manifest else [],
        problem=version.problem,
        events=version.events,
    )


def _done(before: State, event: Event) -> str:
    if event.state == State.RELEASED:
        return "approved" if before == State.STAGED else "reinstated"
    return "withdrawn" if event.state == State.WITHDRAWN else "staged again"


def _value(found: MetricValue | None) -> str:
    return "-" if found is None or found.value is None else f"{found.value:.4f}"


def _time(moment: str | None) -> str:
    return say_time(moment) if moment else "-"


def _say(console: Console, sentence: str) -> None:
    console.print(show(sentence), highlight=False, soft_wrap=True, markup=False)
