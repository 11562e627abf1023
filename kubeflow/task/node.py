"""One TFX node in one task: `python -m kubeflow.task.node` runs what `crackgate kubeflow compile` put into it.

Drivers, cache, resolvers and lineage are TFX's own: its launcher runs here as it does under LocalDagRunner.
"""

import argparse
import logging
import os
import time
import traceback
from pathlib import Path

from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig
from ml_metadata.proto.metadata_store_pb2 import Execution as ExecutionProto
from tfx.dsl.compiler import constants
from tfx.dsl.io import fileio
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, outputs_utils, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from crackgate.contracts.errors import DataRejectedError
from crackgate.runs.lineage import Execution, read_run
from crackgate.runs.workspace import Workspace
from kubeflow.task.credentials import take_credentials
from kubeflow.task.log import log_to_workspace
from kubeflow.task.metadata_store import connection_config, open_store, store_settings
from kubeflow.task.node_ir import Deployment, deployment_of, unpack
from kubeflow.task.node_record import begin_record
from kubeflow.task.output import describe_execution
from kubeflow.task.parameters import RunParameters, check_data_folder, substitute
from kubeflow.task.run_end import RunEndedError, check_not_ended
from kubeflow.task.run_folders import records_folder, work_folder
from kubeflow.task.sources import check_sources
from pipeline.interruption import interruptible
from pipeline.peak_memory import PeakMemory

log = logging.getLogger("crackgate")

_SUCCESSFUL = (ExecutionProto.COMPLETE, ExecutionProto.CACHED)


class NodeFailedError(Exception):
    """The node did not end as complete or cached in ML Metadata."""


def run_node(node: str, ir: str, sources: str, run_id: str, parameters: RunParameters) -> Execution:
    """Runs one node of the pipeline and returns its record from ML Metadata.

    All nodes and attempts of a run share `run_id`. `ir` is packed; `sources` is the digest of the compiled code.

    Raises:
        NodeFailedError: ML Metadata says that the node failed, though nothing was raised.
        DataRejectedError: The data did not pass this node's check.
        RunEndedError: The run has a verdict already.
        Exception: The node raised it.
    """
    parameters = parameters.resolved()
    workspace = Workspace(Path(parameters.workspace))
    check_not_ended(workspace, run_id)
    folder = records_folder(workspace, run_id)
    record, began, memory = begin_record(folder, node), time.monotonic(), PeakMemory()
    try:
        with log_to_workspace(workspace, run_id, node), interruptible():
            check_sources(sources)
            check_data_folder(parameters)
            take_credentials()
            execution = _launch(node, ir, run_id, parameters, workspace)
        record.state = "cached" if execution.state == "cached" else "complete"
        return execution
    except DataRejectedError as error:
        record.state, record.reasons, record.account = "rejected", error.reasons, error.account
        raise
    except KeyboardInterrupt:
        record.state, record.error = "failed", "interrupted: stopped by someone, by its timeout, or for another pod"
        raise
    except Exception as error:
        record.state, record.error = "failed", f"{type(error).__name__}: {error}"
        log.info("%s", "".join(traceback.format_exception(error)))
        raise
    finally:
        record.seconds, record.peak_memory = round(time.monotonic() - began, 2), memory.stop()
        record.write(folder)


def run_and_describe(node: str, ir: str, sources: str, run_id: str, parameters: RunParameters) -> str:
    """Runs one node as `run_node` does, and returns its execution in Markdown.

    It ends the task in one line when the data is rejected, or the run has ended.
    """
    try:
        return describe_execution(run_node(node, ir, sources, run_id, parameters))
    except DataRejectedError as error:
        raise SystemExit(f"{node}: data rejected: {error}") from None
    except RunEndedError as error:
        raise SystemExit(f"{node}: {error}") from None


def _launch(node: str, ir: str, run_id: str, parameters: RunParameters, workspace: Workspace) -> Execution:
    pipeline = pipeline_pb2.Pipeline.FromString(unpack(ir))
    substitute(pipeline, parameters)
    bindings = {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
    runtime_parameter_utils.substitute_runtime_parameter(pipeline, bindings)
    (only,) = pipeline.nodes
    connection = connection_config(store_settings())
    open_store(connection)
    _change_to_work_folder(workspace, run_id)
    _clear_earlier_attempt(connection, pipeline, only.pipeline_node)
    deployment = deployment_of(pipeline)
    if not _is_done_system_node(connection, only.pipeline_node, deployment):
        launcher.Launcher(
            pipeline_node=only.pipeline_node,
            mlmd_connection=metadata.Metadata(connection),
            pipeline_info=pipeline.pipeline_info,
            pipeline_runtime_spec=pipeline.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(deployment, node),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node),
        ).launch()
    execution = read_run(connection, run_id).get(node)
    # The launcher returns without an error when it finds no inputs.
    if execution is None or not execution.succeeded:
        state = "nothing" if execution is None else f"the state {execution.state!r}"
        raise NodeFailedError(
            f"{node} ended with {state} in ML Metadata, allowed are 'complete' and 'cached': its inputs could not be "
            "resolved, or another attempt at it is running; see the log above"
        )
    return execution


def _change_to_work_folder(workspace: Workspace, run_id: str) -> None:
    """Enters the run's own folder, which keeps a training's checkpoints for its next attempt.

    The path relative to it is the same for all runs, so TFX's cache key is, too.
    """
    folder = work_folder(workspace, run_id)
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)


def _clear_earlier_attempt(
    connection: ConnectionConfig, pipeline: pipeline_pb2.Pipeline, node: pipeline_pb2.PipelineNode
) -> None:
    """Removes half-written outputs of a killed attempt, since the launcher reuses its execution and folders."""
    node_dir = outputs_utils.get_node_dir(pipeline.runtime_spec, node.node_info.id)
    for execution in _earlier_executions(connection, node):
        if execution.last_known_state in _SUCCESSFUL:
            continue
        log.info("an earlier attempt left execution %d unfinished: its outputs are made anew", execution.id)
        outputs = outputs_utils.generate_output_artifacts(execution.id, node.outputs.outputs, node_dir)
        outputs_utils.remove_output_dirs(
            {key: [artifact for artifact in found if fileio.exists(artifact.uri)] for key, found in outputs.items()}
        )


def _is_done_system_node(connection: ConnectionConfig, node: pipeline_pb2.PipelineNode, deployment: Deployment) -> bool:
    """Tells whether a Resolver or Importer has succeeded already, and closes its unfinished executions as failed.

    These have no executor, so the launcher would register another execution at each attempt.
    """
    if node.node_info.id in deployment.executor_specs:
        return False
    earlier = _earlier_executions(connection, node)
    unfinished = [execution for execution in earlier if execution.last_known_state not in _SUCCESSFUL]
    for execution in unfinished:
        execution.last_known_state = ExecutionProto.FAILED
    if unfinished:
        open_store(connection).put_executions(unfinished)
    return len(unfinished) < len(earlier)


def _earlier_executions(connection: ConnectionConfig, node: pipeline_pb2.PipelineNode) -> list[ExecutionProto]:
    store = open_store(connection)
    names = {context.type.name: context.name.field_value.string_value for context in node.contexts.contexts}
    run = store.get_context_by_type_and_name("pipeline_run", names["pipeline_run"])
    of_node = store.get_context_by_type_and_name("node", names["node"])
    if run is None or of_node is None:
        return []
    in_run = {execution.id for execution in store.get_executions_by_context(run.id)}
    return [each for each in store.get_executions_by_context(of_node.id) if each.id in in_run]


def main() -> None:
    """Runs one node from the command line, for example to examine a failed task in its image."""
    parser = argparse.ArgumentParser(prog="python -m kubeflow.task.node", description=__doc__)
    parser.add_argument("--node", required=True, help="TFX's id of the node")
    parser.add_argument("--ir", required=True, help="its packed IR, as it stands in pipeline.yaml")
    parser.add_argument("--sources", required=True, help="digest of the code, as it stands in pipeline.yaml")
    parser.add_argument("--run-id", required=True, help="of the run that the node belongs to")
    parser.add_argument("--workspace", required=True, help="folder for artifacts, reports and logs")
    parser.add_argument("--data", required=True, help="folder of the images")
    parser.add_argument("--serving", default="serving", help="receives <version>/; relative: below the workspace")
    options = parser.parse_args()
    parameters = RunParameters(options.workspace, options.data, options.serving)
    print(run_and_describe(options.node, options.ir, options.sources, options.run_id, parameters))


if __name__ == "__main__":
    main()
