"""Running the pipeline on this machine, with LocalDagRunner, and summing up what came of it.

Importing this module imports TFX and TensorFlow, which takes ten seconds and more.
"""

import logging
import traceback
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration.portable import runtime_parameter_utils

from components.data_page.executor import PAGE_FILE
from components.errors import DataRejectedError
from pipeline.config import Config
from pipeline.evaluation import describe_failures, read_evaluation
from pipeline.interruption import interruptible
from pipeline.lineage import Execution, read_run
from pipeline.pipeline import create_pipeline
from pipeline.progress import ComponentEvents
from pipeline.summary import ComponentTime, Images, Summary, Verdict
from pipeline.workspace import Workspace
from trainer.reports import CURVES_FILE, HISTORY_FILE, RELIABILITY_FILE, REPORT_FILE
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
    metadata = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(workspace.metadata_file))
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
    definition = compiler.Compiler().compile(pipeline)
    # LocalDagRunner would name the run by a time of its own.
    runtime_parameter_utils.substitute_runtime_parameter(
        definition, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: summary.run_id}
    )
    failure: BaseException | None = None
    try:
        with interruptible():
            tfx.orchestration.LocalDagRunner().run_with_ir(definition)
    except (Exception, KeyboardInterrupt) as error:
        failure = error
        log.info("%s", "".join(traceback.format_exception(error)))
    failed_component = events.end("failed")
    executions = read_run(metadata, summary.run_id)
    _add_components(summary, executions, events.seconds)
    _add_images(summary, executions)
    _add_outputs(summary, executions)
    if failure is None:
        _judge(summary, executions, config)
    elif isinstance(failure, DataRejectedError):
        if failure.account:
            summary.images = Images.from_account(failure.account)
        summary.conclude(Verdict.DATA_REJECTED, failure.reasons)
    elif isinstance(failure, KeyboardInterrupt):
        summary.conclude(Verdict.FAILED, [f"interrupted during {failed_component}"])
    else:
        summary.conclude(Verdict.FAILED, [f"{failed_component}: {type(failure).__name__}: {failure}"])


def _add_components(summary: Summary, executions: dict[str, Execution], seconds: dict[str, float]) -> None:
    summary.components = [
        ComponentTime(
            name=component,
            state=executions[component].state if component in executions else "failed",
            seconds=round(duration, 2),
        )
        for component, duration in seconds.items()
    ]


def _add_images(summary: Summary, executions: dict[str, Execution]) -> None:
    if (account := _value(executions, "ImageExampleGen", "account")) is not None:
        summary.images = Images.from_account(account)
    if (leaks := _value(executions, "LeakCheck", "findings")) is not None:
        summary.images.copies, summary.images.leaks = leaks["pairs"], leaks["leaks"]
    if (drift := _value(executions, "DriftCheck", "findings")) is not None:
        summary.drift, summary.skew = drift["drift"], drift["skew"]


def _value(executions: dict[str, Execution], component: str, output: str) -> Any:
    """What the component wrote into a JsonValue; None when it never came to it."""
    execution = executions.get(component)
    if execution is None or execution.state not in ("complete", "cached"):
        return None
    return execution.outputs[output][0].read()


def _add_outputs(summary: Summary, executions: dict[str, Execution]) -> None:
    data_page = executions.get("DataPage")
    if data_page is not None and data_page.state in ("complete", "cached"):
        summary.outputs["data_page"] = str(Path(data_page.outputs["page"][0].uri) / PAGE_FILE)
    trainer = executions.get("Trainer")
    if trainer is not None and trainer.state in ("complete", "cached"):
        folder = Path(trainer.outputs["model_run"][0].uri)
        files = {
            "training_curves": CURVES_FILE,
            "reliability": RELIABILITY_FILE,
            "classification_report": REPORT_FILE,
            "history": HISTORY_FILE,
            "keras_model": KERAS_FILE,
        }
        summary.outputs["tensorboard"] = str(folder)
        summary.outputs |= {name: str(folder / file) for name, file in files.items()}


def _judge(summary: Summary, executions: dict[str, Execution], config: Config) -> None:
    evaluator, pushed = executions["Evaluator"], executions["Pusher"].outputs["pushed_model"][0]
    evaluation = read_evaluation(evaluator.outputs["evaluation"][0].uri, summary.classes, config.gate)
    summary.metrics = evaluation.metrics
    summary.baseline_accuracy = evaluation.baseline_accuracy
    summary.confusion = evaluation.confusion
    if not pushed.get_int_custom_property("pushed"):
        reasons = describe_failures(evaluation.metrics)
        summary.conclude(Verdict.NOT_BLESSED, reasons or ["the Evaluator did not bless the model: see the log"])
        return
    folder = Path(pushed.get_string_custom_property("pushed_destination"))
    if not (folder / "saved_model.pb").is_file():
        reason = (
            f"the model was released as {folder} by an earlier run and has been removed since: "
            "run with --no-cache to train and release it anew"
        )
        summary.conclude(Verdict.FAILED, [reason])
        return
    summary.pushed_version = int(pushed.get_string_custom_property("pushed_version"))
    summary.pushed_to = str(folder)
    summary.conclude(Verdict.RELEASED, [])
