"""The output of a task in the user interface of Kubeflow Pipelines."""

from crackgate.contracts.evaluation import ALL_IMAGES
from crackgate.gate.wording import say_metric, say_requirement
from crackgate.pages.templates import escape_markdown
from crackgate.plural import counted
from crackgate.report.content import explain
from crackgate.runs.lineage import Artifact, Execution
from crackgate.runs.summary import Summary


def describe_execution(execution: Execution) -> str:
    """Returns a node's execution in Markdown: its state, inputs and outputs."""
    took_over = " (taken over from an earlier, identical execution)" if execution.state == "cached" else ""
    lines = [
        f"# {execution.component}: {execution.state}{took_over}",
        "",
        f"Execution {execution.id} of run {_escape(execution.run_id)} in ML Metadata.",
        "",
        "| | name | type | id | place |",
        "|---|---|---|---|---|",
        *_rows("input", execution.inputs),
        *_rows("output", execution.outputs),
    ]
    return "\n".join(lines) + "\n"


def _rows(kind: str, artifacts: dict[str, list[Artifact]]) -> list[str]:
    return [
        f"| {kind} | {_escape(name)} | {artifact.type} | {artifact.id} | {_escape(artifact.uri)} |"
        for name, found in sorted(artifacts.items())
        for artifact in found
    ]


def describe_run(summary: Summary) -> str:
    """Returns a run in Markdown: the verdict, its reasons, the gate's requirements, and the steps."""
    lines = [f"# {summary.headline}", ""]
    lines += [f"- {_escape(sentence)}" for sentence in explain(summary)]
    images = summary.images
    found = counted(images.found, "file")
    lines += ["", f"{found}, {images.ingested:,} ingested, {images.rejected_count:,} rejected.", ""]
    if summary.evaluation is not None:
        lines += ["| requirement | |", "|---|---|"]
        rows = summary.evaluation.requirements
        lines += [f"| {_escape(say_requirement(row))} | {row.outcome} |" for row in rows]
        lines.append("")
    lines += ["| step | state | seconds |", "|---|---|---:|"]
    lines += [f"| {step.name} | {step.state} | {step.seconds:.0f} |" for step in summary.components]
    if summary.pushed_to:
        lines += ["", f"Model: {_escape(summary.pushed_to)}"]
    return "\n".join(lines) + "\n"


def main_metrics(summary: Summary) -> dict[str, float]:
    """Returns the metrics on all test images by name, without those that are no number."""
    if summary.evaluation is None:
        return {}
    overall = [part for part in summary.evaluation.slices if part.name == ALL_IMAGES]
    values = overall[0].metrics if overall else []
    return {say_metric(*value.key): value.value for value in values if value.value is not None}


def _escape(text: str) -> str:
    return escape_markdown(" ".join(text.split()))
