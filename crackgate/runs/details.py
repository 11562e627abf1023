"""The outcome of a run and the lineage of its model, from the released version back to the data."""

from pathlib import Path

from pydantic import BaseModel

from crackgate.contracts.pushed_model import PUSHED, PUSHED_DESTINATION, PUSHED_VERSION
from crackgate.releases import find_version
from crackgate.runs.history import History, Run, RunEntry
from crackgate.runs.lineage import BASELINE_INPUT, Artifact, Execution
from crackgate.runs.summary import SUMMARY_FILE

# The links of the chain, its end first. A stopped run lacks the first entries.
_CHAIN = ("Pusher", "Evaluator", "Trainer", "ImageExampleGen")


class Made(BaseModel):
    """An artifact, with its output's name and its id in ML Metadata.

    Attributes:
        uri: Its folder or file; for a released model the one in the serving folder.
        note: Whether it was blessed or pushed, if it records that.
        gone: Whether nothing is left there.
    """

    name: str
    id: int
    uri: str
    note: str
    gone: bool


class Link(BaseModel):
    """One execution, by its id in ML Metadata, and its outputs.

    Attributes:
        run_id: The run that executed it; an earlier one when the outputs came from the cache.
        state: "complete", "failed", ...
        used: Ids of the input artifacts, by input name.
    """

    component: str
    execution: int
    run_id: str
    state: str
    used: dict[str, list[int]]
    made: list[Made]


class Data(BaseModel):
    """The folder of the images, and the digest of its files' names, sizes and times."""

    folder: str
    fingerprint: str | None


class Baseline(BaseModel):
    """The model in production that the Evaluator compared with, its version and its run."""

    model: Made
    version: int | None
    run_id: str | None


class RunDetails(BaseModel):
    """A run with its lineage, the latest link first, and the paths of its summary and report.

    `links` is empty and `data` None when ML Metadata does not know the run. `baseline` is None without a model in
    production or an evaluation.
    """

    run: RunEntry
    links: list[Link]
    baseline: Baseline | None
    data: Data | None
    summary: str | None
    report: str | None


def describe_details(history: History, run: Run) -> RunDetails:
    """Follows a run's outputs back to the data, through earlier runs whose outputs it reused."""
    executions = trace_back(history, run)
    report = run.summary.outputs.get("report") if run.summary else None
    return RunDetails(
        run=history.describe(run),
        links=[_link(execution) for execution in executions],
        baseline=_baseline(history, executions),
        data=find_data(executions),
        summary=None if run.summary is None else str(history.workspace.runs / run.run_id / SUMMARY_FILE),
        report=report if report and Path(report).exists() else None,
    )


def trace_back(history: History, run: Run) -> list[Execution]:
    """Returns the executions that led to a run's outcome, the latest first."""
    reached = [run.executions[name] for name in _CHAIN if name in run.executions]
    return history.record.trace(reached[0]) if reached else []


def find_data(executions: list[Execution]) -> Data | None:
    """Returns the data that the executions' ImageExampleGen read."""
    for execution in executions:
        if execution.component == "ImageExampleGen":
            properties = execution.properties
            return Data(folder=properties["input_base"], fingerprint=properties.get("input_fingerprint"))
    return None


def _link(execution: Execution) -> Link:
    return Link(
        component=execution.component,
        execution=execution.id,
        run_id=execution.run_id,
        state=execution.state,
        used={name: [artifact.id for artifact in artifacts] for name, artifacts in execution.inputs.items()},
        made=[_made(name, artifact) for name, artifacts in execution.outputs.items() for artifact in artifacts],
    )


def _made(name: str, artifact: Artifact) -> Made:
    uri = artifact.uri
    # The Pusher's artifact is an empty folder; the model is in the serving folder, staged perhaps, or withdrawn since.
    if destination := artifact.properties.get(PUSHED_DESTINATION):
        version = find_version(Path(destination).parent, int(artifact.properties[PUSHED_VERSION]))
        uri = str(version.folder) if version else destination
    return Made(name=name, id=artifact.id, uri=uri, note=_note(artifact), gone=not Path(uri).exists())


def _note(artifact: Artifact) -> str:
    if artifact.type == "ModelBlessing":
        return "blessed" if artifact.properties.get("blessed") else "not blessed"
    if artifact.type == "PushedModel":
        version = artifact.properties.get(PUSHED_VERSION)
        if not artifact.properties.get(PUSHED):
            return f"nothing was pushed: version {version} was withdrawn" if version else "nothing was pushed"
        return f"version {version}"
    return ""


def _baseline(history: History, executions: list[Execution]) -> Baseline | None:
    used = [model for execution in executions for model in execution.inputs.get(BASELINE_INPUT, [])]
    if not used:
        return None
    (model,) = used
    for run in reversed(history.runs):
        pusher = run.executions.get("Pusher")
        # Version 0.1.0 compared with the artifact that was pushed, not with the release.
        was_pushed = pusher is not None and model in pusher.inputs.get("model", [])
        if run.version is not None and (was_pushed or str(run.version) == model.properties.get(PUSHED_VERSION)):
            return Baseline(model=_made("model", model), version=run.version, run_id=run.run_id)
    return Baseline(model=_made("model", model), version=None, run_id=None)
