"""The last two tasks of every run, which conclude it from ML Metadata and the nodes' records.

`verdict` follows successful nodes, leaves a record, and fails the run when nothing was released. `report` always runs
as the exit handler. It fails when the run broke down, and when record, summary and Kubeflow's own state of the run do
not agree: a task may have been killed at any moment. `kubeflow.outcome` reads the exit code from both states.
"""

import shutil
import time
from pathlib import Path

from pydantic import BaseModel

from crackgate.config.configuration import Config
from crackgate.contracts.verdict import Verdict
from crackgate.model.positive_classes import resolve_positive_classes
from crackgate.runs.conclusion import conclude
from crackgate.runs.lineage import Execution, read_run
from crackgate.runs.summary import ComponentTime, Images, Summary, begin_summary
from crackgate.runs.workspace import Workspace
from kubeflow.task.credentials import take_credentials
from kubeflow.task.doubt import find_doubt
from kubeflow.task.log import log_to_workspace
from kubeflow.task.metadata_store import connection_config, open_store, store_settings
from kubeflow.task.names import REPORT, VERDICT
from kubeflow.task.node_ir import unpack
from kubeflow.task.node_record import NodeRecord, begin_record, read_records
from kubeflow.task.output import describe_run, main_metrics
from kubeflow.task.parameters import RunParameters
from kubeflow.task.run_end import RunEndedError, check_not_ended
from kubeflow.task.run_folders import log_folder, records_folder, work_folder
from pipeline.results import gather_results
from pipeline.run_record import write_record


class Definition(BaseModel):
    """The parts of the compiled pipeline that the last tasks need, as packed JSON by alias in their arguments.

    `nodes` has TFX's ids in the order of the pipeline, `classes` the class names in label order.
    """

    nodes: list[str]
    classes: list[str]
    config: Config


def give_verdict(definition: str, run_id: str, parameters: RunParameters) -> str:
    """Describes the release in Markdown, or the staged version; ends the task in one line where there is none."""
    compiled = Definition.model_validate_json(unpack(definition))
    parameters = parameters.resolved()
    workspace = Workspace(Path(parameters.workspace))
    try:
        check_not_ended(workspace, run_id)
    except RunEndedError as error:
        raise SystemExit(str(error)) from None
    folder = records_folder(workspace, run_id)
    record = begin_record(folder, VERDICT)
    try:
        with log_to_workspace(workspace, run_id, VERDICT):
            summary = _conclude(compiled, run_id, parameters)
        record.state, record.verdict = "complete", summary.verdict
    except Exception as error:
        record.state, record.error = "failed", f"{type(error).__name__}: {error}"
        raise
    finally:
        record.write(folder)
    if summary.exit_code:
        raise SystemExit("; ".join([summary.headline, *summary.reasons]))
    return describe_run(summary)


def _write_report(definition: str, run_id: str, parameters: RunParameters, state: str) -> Summary:
    """Writes `runs/<run id>/` with summary and report, and removes the work folder unless the run broke down."""
    compiled = Definition.model_validate_json(unpack(definition))
    parameters = parameters.resolved()
    workspace = Workspace(Path(parameters.workspace))
    folder = workspace.runs / run_id
    folder.mkdir(parents=True, exist_ok=True)
    take_credentials()
    with log_to_workspace(workspace, run_id, REPORT):
        summary = _conclude(compiled, run_id, parameters)
        record = read_records(records_folder(workspace, run_id)).get(VERDICT)
        if summary.verdict != Verdict.FAILED and (doubt := find_doubt(summary.verdict, record, state)):
            summary.conclude(Verdict.FAILED, [f"{summary.headline}, by what the nodes left, but {doubt}"])
        write_record(summary, folder)
    if summary.verdict != Verdict.FAILED:  # another attempt at the run goes on where it was
        shutil.rmtree(work_folder(workspace, run_id), ignore_errors=True)
    return summary


def _conclude(compiled: Definition, run_id: str, parameters: RunParameters) -> Summary:
    workspace = Workspace(Path(parameters.workspace))
    config = compiled.config
    records = read_records(records_folder(workspace, run_id))
    began = min((record.began for record in records.values()), default=time.time())
    logs = log_folder(workspace, run_id)
    positive = resolve_positive_classes(config.train.positive_classes, compiled.classes)
    summary = begin_summary(run_id, parameters.data, compiled.classes, positive, config, logs, began)
    # The clock of another node may be ahead.
    summary.seconds = round(max(0.0, time.time() - began), 2)
    connection = connection_config(store_settings())
    open_store(connection)
    executions = read_run(connection, run_id)
    summary.components = [_step(records[node]) for node in compiled.nodes if node in records]
    gather_results(summary, executions, config)
    for record in records.values():
        if record.account:
            summary.images = Images(**dict(record.account))
    rejections = [reason for record in records.values() for reason in record.reasons]
    conclude(summary, executions, rejections, _find_broken(compiled.nodes, records, executions))
    return summary


def _step(record: NodeRecord) -> ComponentTime:
    state = record.state if record.state in ("complete", "cached") else "failed"
    return ComponentTime(name=record.node, state=state, seconds=record.seconds, peak_memory=record.peak_memory)


def _find_broken(nodes: list[str], records: dict[str, NodeRecord], executions: dict[str, Execution]) -> list[str]:
    """Returns a sentence for each node that failed or fell silent; if none did, for those that never began."""
    reasons = [records[node].say_break() for node in nodes if node in records and records[node].is_broken]
    missing = [node for node in nodes if node not in records or not _succeeded(executions.get(node))]
    if not reasons and missing:
        reasons.append(f"never ran: {', '.join(missing)}")
    return reasons


def _succeeded(execution: Execution | None) -> bool:
    return execution is not None and execution.succeeded


def publish_report(
    definition: str, run_id: str, parameters: RunParameters, state: str, summary_file: str, page_file: str
) -> dict[str, float]:
    """Writes the report, shows it in the user interface, and returns the main metrics.

    The packed `Definition` comes from the compiler, `state` from KFP's driver: see `kubeflow.task.doubt`.
    `summary_file` receives Markdown, `page_file` the report's page. A run without a verdict ends the task in one line
    after its report is written.
    """
    summary = _write_report(definition, run_id, parameters, state)
    Path(summary_file).write_text(describe_run(summary), encoding="utf-8")
    page = summary.outputs.get("report")
    shown = Path(page).read_text(encoding="utf-8") if page else f"<p>There is no report: {summary.report_error}</p>"
    Path(page_file).write_text(shown, encoding="utf-8")
    print(describe_run(summary))
    if summary.verdict == Verdict.FAILED:
        raise SystemExit("; ".join([summary.headline, *summary.reasons]))
    return main_metrics(summary)
