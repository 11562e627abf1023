"""The runs of a workspace and their outcomes, from ML Metadata and each run's `summary.json`.

The summary alone knows times, metrics, reasons, and runs that failed or never reached ML Metadata.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from crackgate.contracts import metric_names
from crackgate.contracts.evaluation import ALL_IMAGES, Evaluation, MetricValue, SliceMetrics, find_metric
from crackgate.contracts.pushed_model import PUSHED, PUSHED_STAGED, PUSHED_VERSION
from crackgate.contracts.verdict import Verdict
from crackgate.regular_file import open_regular
from crackgate.releases import ManifestError, State, list_versions, production_number
from crackgate.runs.lineage import Artifact, Execution, MetadataError, Record, read_record
from crackgate.runs.notes import Note, NotesError, RunNotes, read_notes
from crackgate.runs.summary import SUMMARY_FILE, Summary
from crackgate.runs.workspace import Workspace

LATEST = "latest"
_LONGEST_LIST = 10


class HistoryError(Exception):
    """The workspace or run does not exist; the message names those that do."""


class Unconcluded(StrEnum):
    """The state of a run without a verdict."""

    RUNNING = "running"
    CUT_OFF = "cut off"


_Source = Literal["ML Metadata", "summary.json", "no record of its end"]


class RunEntry(BaseModel):
    """One run, as `crackgate runs` shows it; None stands for a missing value.

    Attributes:
        name, tags, notes: As people gave them.
        started: ISO 8601, with the offset from UTC.
        seconds: From start to end, imports included; None for a run that goes on or was killed.
        verdict_from: The verdict's source; "no record of its end" for runs that were cut off.
        reasons: Sentences that say why nothing was released.
        released_by: The run that released or staged the version first; an earlier one when nothing has changed since.
        removed: Whether the version left the serving folder without a rollback.
        staged: Whether the version waits for approval now.
        in_production: Whether it is the version in production.
        test_images: Number of evaluated images.
        metrics: Accuracy and the recall of the positive classes, or balanced accuracy without such a class.
        problems: Sentences about unreadable records.
    """

    run_id: str
    name: str
    tags: list[str]
    notes: list[Note]
    started: str
    seconds: float | None
    verdict: Verdict | Unconcluded
    verdict_from: _Source
    reasons: list[str]
    version: int | None
    released_by: str | None
    removed: bool
    withdrawn: bool
    staged: bool
    in_production: bool
    data: str | None
    test_images: int | None
    metrics: list[MetricValue]
    problems: list[str] = Field(default_factory=list)

    @property
    def version_state(self) -> str:
        """How the version stands now, in words; "" for one that was released and is not in production."""
        states = {"withdrawn": self.withdrawn, "staged": self.staged, "removed since": self.removed}
        return next((words for words, is_so in states.items() if is_so), "in production" if self.in_production else "")

    def words(self) -> str:
        """All that `mentions` searches, in lower case."""
        said = [self.run_id, self.name, *self.tags, *(note.text for note in self.notes), self.verdict, self.data or ""]
        # Not `casefold`: the page's script has no such function.
        return " ".join([*said, str(self.version or ""), self.version_state]).lower()

    def mentions(self, text: str) -> bool:
        """Whether each word of the text occurs in the id, name, tags, notes, verdict, version or data."""
        return all(word in self.words() for word in text.lower().split())


@dataclass(frozen=True)
class Run:
    """The records of one run.

    Attributes:
        run_id: The name of its folder and of its context in ML Metadata.
        executions: By component; empty when ML Metadata does not know the run.
        summary: None when it was not written or cannot be read.
        notes: What people say of it.
        problems: Sentences about unreadable records.
    """

    run_id: str
    began: datetime
    executions: dict[str, Execution] = field(default_factory=dict)
    summary: Summary | None = None
    is_running: bool = False
    problems: tuple[str, ...] = ()
    notes: RunNotes = field(default_factory=RunNotes)

    @property
    def evaluation(self) -> Evaluation | None:
        """The Evaluator's output; None when the run did not reach it."""
        return self.summary.evaluation if self.summary else None

    @property
    def overall(self) -> SliceMetrics | None:
        """The metrics over all test images."""
        slices = self.evaluation.slices if self.evaluation else []
        return next((piece for piece in slices if piece.name == ALL_IMAGES), None)

    @property
    def pushed(self) -> Artifact | None:
        """The Pusher's artifact, made or reused: a model, or the note that there was none to push."""
        pusher = self.executions.get("Pusher")
        return pusher.outputs["pushed_model"][0] if pusher and pusher.succeeded else None

    @property
    def was_held_back(self) -> bool:
        """Whether the Pusher met a withdrawn model, which may have been reinstated since."""
        return (
            self.pushed is not None
            and not self.pushed.properties.get(PUSHED)
            and PUSHED_VERSION in self.pushed.properties
        )

    @property
    def version(self) -> int | None:
        """The released or staged version."""
        if self.pushed is not None and self.pushed.properties.get(PUSHED):
            return int(self.pushed.properties[PUSHED_VERSION])
        if self.pushed is not None and not self.was_held_back:
            return None
        return self.summary.pushed_version if self.summary else None


@dataclass(frozen=True)
class History:
    """All runs of a workspace, the newest first, and their record in ML Metadata.

    `versions` are the states of the complete versions, by number.
    """

    workspace: Workspace
    record: Record
    runs: list[Run]
    versions: Mapping[int, State] = field(default_factory=dict)

    def find(self, text: str) -> Run:
        """Finds a run by its id, its beginning or its name, "latest", or a released version ("version 3" or "3").

        Raises HistoryError if no run matches, or several do.
        """
        if text == LATEST:
            return self.runs[0]
        version = text.removeprefix("version").strip()
        if version.isdecimal() and int(version) in self._releasing_runs:
            return self._releasing_runs[int(version)]
        found = [run for run in self.runs if run.run_id == text] or [
            run for run in self.runs if text and (run.run_id.startswith(text) or run.notes.name == text)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            ids = _listed([run.run_id for run in found])
            raise HistoryError(f"{text!r} is the beginning or the name of {len(found)} runs: give one of {ids}")
        versions = _listed([str(number) for number in self._releasing_runs]) or "none"
        raise HistoryError(
            f"received {text!r}, which is no run of {str(self.workspace.root)!r}; give 'latest', a released version "
            f"({versions}), or a run's id, its beginning or its name: {_listed([run.run_id for run in self.runs])}"
        )

    def describe(self, run: Run) -> RunEntry:
        """Merges the two records of a run."""
        verdict, verdict_from, reasons = _verdict(run)
        version = run.version
        return RunEntry(
            run_id=run.run_id,
            name=run.notes.name,
            tags=run.notes.tags,
            notes=run.notes.notes,
            started=run.began.isoformat(timespec="seconds"),
            seconds=run.summary.seconds if run.summary else None,
            verdict=verdict,
            verdict_from=verdict_from,
            reasons=reasons,
            version=version,
            released_by=None if version is None else self._releasing_runs[version].run_id,
            removed=version is not None and version not in self.versions,
            withdrawn=version is not None and self.versions.get(version) == State.WITHDRAWN,
            staged=version is not None and self.versions.get(version) == State.STAGED,
            in_production=version is not None and version == self._production,
            data=run.summary.data if run.summary else None,
            test_images=run.overall.images if run.overall else None,
            metrics=_main_metrics(run),
            problems=list(run.problems),
        )

    @cached_property
    def _production(self) -> int:
        return production_number(self.workspace.serving)

    @property
    def releases(self) -> list[Run]:
        """The runs that released or staged a version first, the oldest version first."""
        return [run for _, run in sorted(self._releasing_runs.items())]

    @cached_property
    def _releasing_runs(self) -> dict[int, Run]:
        """The run that released each version first, by version, the newest first."""
        return {run.version: run for run in self.runs if run.version is not None}


def read_history(workspace: Workspace) -> History:
    """Reads all runs of a workspace, even during a run.

    Raises HistoryError if there is no workspace or no run, or its metadata or the record of a withdrawal is unreadable.
    """
    if not workspace.root.is_dir():
        raise HistoryError(
            f"--workspace: received {str(workspace.root)!r}, which is no folder; give the one that 'crackgate run' "
            "wrote to"
        )
    try:
        record = read_record(workspace.metadata_file)
    except MetadataError as error:
        raise HistoryError(f"{error}; put a good copy back, or remove it to see what the summaries hold") from None
    try:
        versions = {each.number: each.state for each in list_versions(workspace.serving)}
    except ManifestError as error:
        raise HistoryError(str(error)) from None
    run_ids = {path.name for path in workspace.runs.glob("*") if path.is_dir()} | set(record.runs)
    if not run_ids:
        raise HistoryError(
            f"there are no runs in {str(workspace.root)!r}: start one with 'crackgate run', or give another --workspace"
        )
    runs = [_read_run(workspace, record, run_id) for run_id in run_ids]
    runs.sort(key=lambda run: (run.began, len(run.run_id), run.run_id), reverse=True)
    if _may_be_running(runs[0]) and workspace.is_locked():
        runs[0] = replace(runs[0], is_running=True)
    complete = {number: state for number, state in versions.items() if state != State.INCOMPLETE}
    return History(workspace, record, runs, complete)


def _read_run(workspace: Workspace, record: Record, run_id: str) -> Run:
    file = workspace.runs / run_id / SUMMARY_FILE
    summary, problems = None, []
    try:
        with open_regular(file, follow_links=True) as content:
            summary = Summary.model_validate_json(content.read())
    except FileNotFoundError:
        pass  # It is written last.
    except (OSError, ValidationError) as error:
        problems.append(f"cannot read {str(file)!r}: {str(error).splitlines()[0]}")
    if summary is not None:
        began = datetime.fromisoformat(summary.started).astimezone()
    elif run_id in record.began:
        began = datetime.fromtimestamp(record.began[run_id]).astimezone()
    else:
        began = datetime.fromtimestamp(file.parent.stat().st_mtime).astimezone()
    notes = RunNotes()
    try:
        notes = read_notes(file.parent)
    except NotesError as error:
        problems.append(str(error))
    return Run(run_id, began, record.runs.get(run_id, {}), summary, problems=tuple(problems), notes=notes)


def _may_be_running(run: Run) -> bool:
    return run.summary is None and not run.problems


def _verdict(run: Run) -> tuple[Verdict | Unconcluded, _Source, list[str]]:
    summary = run.summary
    # ML Metadata records no failure after the Pusher, nor that a release was reused, or what befell it since.
    told_by_summary = run.pushed is None or run.was_held_back or PUSHED_STAGED in run.pushed.properties
    only_in_summary = (Verdict.FAILED, Verdict.WITHDRAWN, Verdict.UNCHANGED)
    if summary is not None and (summary.verdict in only_in_summary or told_by_summary):
        return summary.verdict, "summary.json", summary.reasons
    if run.pushed is not None:
        refused = Verdict.WITHDRAWN if run.was_held_back else Verdict.REFUSED
        passed = Verdict.STAGED if PUSHED_STAGED in run.pushed.properties else Verdict.RELEASED
        verdict = passed if run.pushed.properties.get(PUSHED) else refused
        return verdict, "ML Metadata", summary.reasons if summary else []
    component_in = {execution.state: name for name, execution in run.executions.items()}
    # `crackgate prune` marks executions of killed runs as canceled.
    component = component_in.get("running") or component_in.get("canceled")
    where = f"at {component}" if component else "before or between its components"
    if run.is_running:
        return Unconcluded.RUNNING, "ML Metadata", [f"now {where}"]
    if "failed" in component_in:
        return Verdict.FAILED, "ML Metadata", [f"{component_in['failed']} failed; the summary that says why is missing"]
    return Unconcluded.CUT_OFF, "no record of its end", [f"its process ended {where} and left no summary"]


def _main_metrics(run: Run) -> list[MetricValue]:
    if run.evaluation is None or run.overall is None:
        return []
    positive = run.evaluation.positive
    second = metric_names.BALANCED_ACCURACY if positive is None else metric_names.RECALL
    values = run.overall.metrics
    return [
        find_metric(values, metric, label) or MetricValue(metric=metric, label=label, value=None)
        for metric, label in ((metric_names.ACCURACY, None), (second, positive))
    ]


def _listed(names: list[str]) -> str:
    more = len(names) - _LONGEST_LIST
    return ", ".join(names[:_LONGEST_LIST]) + (f" and {more} more" if more > 0 else "")
