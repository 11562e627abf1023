"""Running the pipeline on this machine, with LocalDagRunner, and summing up what came of it.

Importing this module imports TFX and TensorFlow, which takes ten seconds and more.
"""

import json
import logging
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.components.example_gen.utils import FINGERPRINT_PROPERTY_NAME
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.utils import path_utils

from components.data_page.executor import PAGE_FILE
from components.release_pusher.executor import PUSHED_DESTINATION
from components.serving_check.probe_process import started_ahead
from crackgate.config.configuration import Config
from crackgate.contracts.errors import DataRejectedError
from crackgate.contracts.serving_findings import ServingFindings
from crackgate.contracts.verdict import Verdict
from crackgate.gate.rules import gate_rules
from crackgate.model.positive_class import resolve_positive_class
from crackgate.releases import State, find_version
from crackgate.runs.lineage import Execution, read_run
from crackgate.runs.summary import ComponentTime, Images, Summary
from crackgate.runs.workspace import Workspace
from pipeline.beam_lookups import remembered_lookups
from pipeline.definition import create_pipeline
from pipeline.interruption import interruptible
from pipeline.progress import ComponentEvents
from pipeline.tfma_results import describe_failures, read_evaluation
from trainer.export.training_report import CURVES_FILE, HISTORY_FILE, RELIABILITY_FILE, REPORT_FILE
from trainer.run_fn import KERAS_FILE

log = logging.getLogger("crackgate")


def run_local(
    summary: Summary, config: Config, workspace: Workspace, events: ComponentEvents, enable_cache: bool = True
) -> None:
    """Runs the pipeline and fills the summary in, however the run ends.

    Args:
        summary: Of a run that begins: `run_id`, `data` and `classes` are set.
        config: The configuration.
        workspace: Where everything is written.
        events: Attached to the root logger; it knows the components' durations.
        enable_cache: Whether components may take over outputs of earlier runs.
    """
    metadata = sqlite_metadata_connection_config(str(workspace.metadata_file))
    pipeline = create_pipeline(
        data=Path(summary.data),
        classes=summary.classes,
        config=config,
        pipeline_root=workspace.pipeline_root,
        serving_dir=workspace.serving,
        trainer_work_dir=workspace.trainer_work,
        metadata=metadata,
        enable_cache=enable_cache,
    )
    with started_ahead() as start_probe:
        # The Evaluator does not use the whole machine, and most models that it judges are checked next.
        events.on_work["Evaluator"] = start_probe
        run_pipeline(summary, pipeline, metadata, events, partial(judge, summary, config=config))


def run_pipeline(
    summary: Summary,
    pipeline: Pipeline,
    metadata: metadata_store_pb2.ConnectionConfig,
    events: ComponentEvents,
    judge: Callable[[dict[str, Execution]], None],
) -> None:
    """Runs any of our pipelines and fills the summary in, however the run ends.

    Args:
        summary: Of a run that begins.
        pipeline: What to run.
        metadata: The pipeline's metadata store.
        events: Attached to the root logger; it knows the components' durations.
        judge: Concludes a run that went through, from its executions by component.
    """
    definition = compiler.Compiler().compile(pipeline)
    # LocalDagRunner would name the run by a time of its own.
    runtime_parameter_utils.substitute_runtime_parameter(
        definition, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: summary.run_id}
    )
    failure: BaseException | None = None
    try:
        with interruptible(), remembered_lookups():
            LocalDagRunner().run_with_ir(definition)
    except (Exception, KeyboardInterrupt) as error:
        failure = error
        log.info("%s", "".join(traceback.format_exception(error)))
    failed_component = events.end("failed")
    executions = read_run(metadata, summary.run_id)
    _add_components(summary, executions, events)
    add_results(summary, executions)
    if failure is None:
        judge(executions)
    elif isinstance(failure, DataRejectedError):
        if failure.account:
            summary.images = Images(**dict(failure.account))
        summary.conclude(Verdict.DATA_REJECTED, failure.reasons)
    elif isinstance(failure, KeyboardInterrupt):
        summary.conclude(Verdict.FAILED, [f"interrupted during {failed_component}"])
    else:
        summary.conclude(Verdict.FAILED, [f"{failed_component}: {type(failure).__name__}: {failure}"])


def _add_components(summary: Summary, executions: dict[str, Execution], events: ComponentEvents) -> None:
    summary.components = [
        ComponentTime(
            name=component,
            state=executions[component].state if component in executions else "failed",
            seconds=round(duration, 2),
            peak_memory=events.peak_memory[component],
        )
        for component, duration in events.seconds.items()
    ]


def add_results(summary: Summary, executions: dict[str, Execution]) -> None:
    """Fills in what the components found out about the images, and where their outputs are.

    Args:
        summary: Of the run.
        executions: By component; of a run that failed, those that it came to.
    """
    _add_findings(summary, executions)
    _add_outputs(summary, executions)


def _add_findings(summary: Summary, executions: dict[str, Execution]) -> None:
    if (account := _value(executions, "ImageExampleGen", "account")) is not None:
        summary.images = Images.model_validate(account)
        examples = executions["ImageExampleGen"].outputs["examples"][0]
        summary.images.fingerprint = examples.properties[FINGERPRINT_PROPERTY_NAME]
        summary.outputs["examples"] = examples.uri
    if (leaks := _value(executions, "LeakCheck", "findings")) is not None:
        summary.images.copies, summary.images.leaks = leaks["pairs"], leaks["leaks"]
    if (drift := _value(executions, "DriftCheck", "findings")) is not None:
        summary.drift, summary.skew = drift["drift"], drift["skew"]
    serving = _value(executions, "ServingCheck", "findings")
    if serving is not None and serving["checks"]:
        summary.serving = ServingFindings.model_validate(serving)


def _value(executions: dict[str, Execution], component: str, output: str) -> Any:
    """What the component wrote into a JsonValue; None when it never came to it."""
    execution = executions.get(component)
    if execution is None or not execution.succeeded:
        return None
    return json.loads(Path(execution.outputs[output][0].uri).read_text(encoding="utf-8"))


def _add_outputs(summary: Summary, executions: dict[str, Execution]) -> None:
    data_page = executions.get("DataPage")
    if data_page is not None and data_page.succeeded:
        summary.outputs["data_page"] = str(Path(data_page.outputs["page"][0].uri) / PAGE_FILE)
    trainer = executions.get("Trainer")
    if trainer is not None and trainer.succeeded:
        folder = Path(trainer.outputs["model_run"][0].uri)
        files = {
            "training_curves": CURVES_FILE,
            "reliability": RELIABILITY_FILE,
            "classification_report": REPORT_FILE,
            "history": HISTORY_FILE,
            "keras_model": KERAS_FILE,
        }
        summary.outputs["tensorboard"] = str(folder)
        summary.outputs["model"] = path_utils.serving_model_path(trainer.outputs["model"][0].uri)
        summary.outputs |= {name: str(folder / file) for name, file in files.items()}


def judge(summary: Summary, executions: dict[str, Execution], config: Config) -> None:
    """Concludes a run that went through.

    Args:
        summary: Of the run; it gets the evaluation and the verdict.
        executions: Of all components.
        config: The run's.
    """
    evaluator, pushed = executions["Evaluator"], executions["Pusher"].outputs["pushed_model"][0]
    positive = resolve_positive_class(config.train.positive_class, summary.classes)
    summary.evaluation = read_evaluation(
        evaluator.outputs["evaluation"][0].uri,
        Path(path_utils.serving_model_path(executions["Trainer"].outputs["model"][0].uri)),
        summary.classes,
        positive,
        gate_rules(summary.classes, positive, config.gate),
    )
    if PUSHED_DESTINATION not in pushed.properties:
        reasons = describe_failures(summary.evaluation)
        if summary.serving is not None:
            reasons += [f"serving check: {reason}" for reason in summary.serving.reasons]
        summary.conclude(Verdict.REFUSED, reasons or ["the Evaluator refused the model: see the log"])
        return
    conclude_release(summary, Path(pushed.properties[PUSHED_DESTINATION]))


def conclude_release(summary: Summary, folder: Path) -> None:
    """Concludes a run that released a model, or took over its release from an earlier run.

    Args:
        summary: Of the run.
        folder: Of the version when it was released; what counts is how it stands now.
    """
    number = int(folder.name)
    version = find_version(folder.parent, number)
    if version is not None and version.state == State.RELEASED:
        summary.pushed_version, summary.pushed_to = number, str(version.folder)
        summary.conclude(Verdict.RELEASED, [])
    elif version is not None and version.state == State.WITHDRAWN:
        withdrawal = version.events[-1] if version.events else None
        told = f" on {withdrawal.when} by {withdrawal.who}: {withdrawal.why}" if withdrawal else ""
        reasons = [
            f"this very model was released as version {number} and withdrawn{told}",
            f"it is not released again: reinstate it with 'crackgate rollback --to {number}', or change the data or "
            "the configuration for another model",
        ]
        summary.conclude(Verdict.WITHDRAWN, reasons)
    else:
        damage = f"is damaged: {version.problem}" if version else "has been removed since"
        reason = (
            f"the model was released as {folder} by an earlier run and {damage}: "
            "run with --no-cache to train and release it anew"
        )
        summary.conclude(Verdict.FAILED, [reason])
