"""What ML Metadata recorded of one run."""

from dataclasses import dataclass
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx.types import artifact_utils


@dataclass(frozen=True)
class Execution:
    """One component's execution.

    Attributes:
        component: The component's id, for example "Trainer".
        state: "complete", "cached", "failed", ...
        outputs: TFX artifacts by output name.
    """

    component: str
    state: str
    outputs: dict[str, list[Any]]


def read_run(connection: metadata_store_pb2.ConnectionConfig, run_id: str) -> dict[str, Execution]:
    """Returns the run's executions by component id; those that the run never reached are missing."""
    store = mlmd.MetadataStore(connection)
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    if context is None:
        return {}
    executions = [_read_execution(store, execution) for execution in store.get_executions_by_context(context.id)]
    return {execution.component: execution for execution in executions}


def _read_execution(store: mlmd.MetadataStore, execution: metadata_store_pb2.Execution) -> Execution:
    (node,) = [context.name for context in store.get_contexts_by_execution(execution.id) if context.type == "node"]
    outputs: dict[str, list[Any]] = {}
    for event in store.get_events_by_execution_ids([execution.id]):
        if event.type == metadata_store_pb2.Event.OUTPUT:
            (artifact,) = store.get_artifacts_by_id([event.artifact_id])
            (artifact_type,) = store.get_artifact_types_by_id([artifact.type_id])
            tfx_artifact = artifact_utils.deserialize_artifact(artifact_type, artifact)
            outputs.setdefault(event.path.steps[0].key, []).append(tfx_artifact)
    state = metadata_store_pb2.Execution.State.Name(execution.last_known_state).lower()
    return Execution(component=node.partition(".")[2], state=state, outputs=outputs)
