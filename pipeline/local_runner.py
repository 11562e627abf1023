"""Runs of a pipeline on this machine, by LocalDagRunner. The import brings in TFX and TensorFlow."""

import logging
import traceback

from tfx.dsl.compiler import compiler, constants
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import runtime_parameter_utils

from components.serving_check.probe_process import started_ahead
from crackgate.config.configuration import Config
from crackgate.contracts.errors import DataRejectedError
from crackgate.runs.conclusion import conclude
from crackgate.runs.lineage import Execution, read_run
from crackgate.runs.summary import ComponentTime, Images, Summary
from pipeline.beam_lookups import remembered_lookups
from pipeline.definition import create_pipeline
from pipeline.interruption import interruptible
from pipeline.progress import ComponentEvents
from pipeline.request import RunRequest
from pipeline.results import gather_results
from pipeline.run_record import describe_failure

log = logging.getLogger("crackgate")


def execute_release_pipeline(request: RunRequest, summary: Summary, events: ComponentEvents) -> None:
    """Runs the pipeline that trains and releases, and fills the summary in, however the run ends.

    `events` is attached to the root logger, and knows the components' durations.
    """
    config, workspace = request.config, request.workspace
    pipeline = create_pipeline(
        data=request.data,
        classes=summary.classes,
        config=config,
        pipeline_root=workspace.pipeline_root,
        serving_dir=workspace.serving,
        trainer_work_dir=workspace.trainer_work,
        metadata=sqlite_metadata_connection_config(str(workspace.metadata_file)),
        enable_cache=request.enable_cache,
    )
    with started_ahead() as start_probe:
        # The Evaluator does not use the whole machine, and most models that it judges are checked next.
        events.on_work["Evaluator"] = start_probe
        execute_pipeline(pipeline, config, summary, events)


def execute_pipeline(pipeline: Pipeline, config: Config, summary: Summary, events: ComponentEvents) -> None:
    """Runs any of our pipelines, as `execute_release_pipeline` does."""
    definition = compiler.Compiler().compile(pipeline)
    # LocalDagRunner would name the run by a time of its own.
    runtime_parameter_utils.substitute_runtime_parameter(
        definition, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: summary.run_id}
    )
    failure: BaseException | None = None
    try:
        with interruptible() as interruption, remembered_lookups():
            LocalDagRunner().run_with_ir(definition)
    except (Exception, KeyboardInterrupt) as error:
        failure = error
        log.info("%s", "".join(traceback.format_exception(error)))
    failed_component = events.end("failed")
    executions = read_run(pipeline.metadata_connection_config, summary.run_id)
    _add_components(summary, executions, events)
    gather_results(summary, executions, config)
    rejections, failures = [], []
    if isinstance(failure, DataRejectedError) and not interruption.received:
        rejections = failure.reasons
        if failure.account:
            summary.images = Images(**dict(failure.account))
    elif failure is not None:
        failures = [describe_failure(failure, failed_component or "the run", interruption.received)]
    conclude(summary, executions, rejections, failures)


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
