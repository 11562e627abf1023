"""Executions by run and component, and the lineage of artifacts, read without TFX or TensorFlow."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from google.protobuf.json_format import MessageToDict
from ml_metadata.proto.metadata_store_pb2 import Artifact as ArtifactProto
from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig, Event, SqliteMetadataSourceConfig
from ml_metadata.proto.metadata_store_pb2 import Execution as ExecutionProto

# The Evaluator's input for the model in production, which has a lineage of its own.
BASELINE_INPUT = "baseline_model"
_UNFINISHED = (ExecutionProto.NEW, ExecutionProto.RUNNING)


class MetadataError(Exception):
    """ML Metadata cannot be read, or written to."""


@dataclass(frozen=True)
class Artifact:
    """An artifact of ML Metadata: its type ("Model", ...), its folder or file, its declared and custom properties."""

    id: int
    type: str
    uri: str
    properties: dict[str, Any]


@dataclass(frozen=True)
class Execution:
    """One component's execution, with its id in ML Metadata and its artifacts by input and output name.

    Attributes:
        component: The component's id, for example "Trainer".
        state: "complete", "cached", "failed", "running", ...
        seconds: From its first to its last update.
        properties: The component's parameters; a cached execution lacks some.
        outputs: Another execution made those of a cached one.
    """

    id: int
    run_id: str
    component: str
    state: str
    seconds: float
    properties: dict[str, Any]
    inputs: dict[str, list[Artifact]] = field(default_factory=dict)
    outputs: dict[str, list[Artifact]] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether its outputs are usable."""
        return self.state in ("complete", "cached")


@dataclass(frozen=True)
class Record:
    """All runs of a workspace.

    Attributes:
        began: Start of each run's first component in seconds since 1970, by run id.
        runs: Executions by component, by run id.
        makers: The execution that made an artifact (not one that reused it), by artifact id.
    """

    began: dict[str, float] = field(default_factory=dict)
    runs: dict[str, dict[str, Execution]] = field(default_factory=dict)
    makers: dict[int, Execution] = field(default_factory=dict)

    def trace(self, execution: Execution) -> list[Execution]:
        """Returns the executions behind an execution's outputs, the latest first, itself included.

        The maker of a cached output replaces the execution that reused it. The Evaluator's baseline is not followed.
        """
        found: dict[int, Execution] = {}
        waiting = [execution]
        while waiting:
            current = waiting.pop()
            maker = next(self._makers_of(current.outputs), current)
            if maker.id not in found:
                found[maker.id] = maker
                waiting += self._makers_of(
                    {name: used for name, used in maker.inputs.items() if name != BASELINE_INPUT}
                )
        return sorted(found.values(), key=lambda each: each.id, reverse=True)

    def _makers_of(self, artifacts: dict[str, list[Artifact]]) -> Iterator[Execution]:
        for artifact in itertools.chain.from_iterable(artifacts.values()):
            if artifact.id in self.makers:
                yield self.makers[artifact.id]


def read_record(metadata_file: Path) -> Record:
    """Reads the whole SQLite store, even during writes; a missing or new file gives an empty record.

    Raises MetadataError if the file is no store, or belongs to another version of ML Metadata.
    """
    if not metadata_file.is_file() or metadata_file.stat().st_size == 0:
        return Record()
    with _faults_named(f"cannot read ML Metadata in {str(metadata_file)!r}"):
        store = _open(metadata_file)
        executions = list(_read_executions(store))
        began = {
            context.name: context.create_time_since_epoch / 1000
            for context in store.get_contexts_by_type("pipeline_run")
        }
    runs: dict[str, dict[str, Execution]] = {run_id: {} for run_id in began}
    for execution in executions:
        runs.setdefault(execution.run_id, {})[execution.component] = execution
    makers = {
        artifact.id: execution
        for execution in executions
        if execution.state != "cached"
        for artifacts in execution.outputs.values()
        for artifact in artifacts
    }
    return Record(began, runs, makers)


def read_run(connection: ConnectionConfig, run_id: str) -> dict[str, Execution]:
    """Returns the run's executions by component id, without those that it never reached."""
    executions = _read_executions(mlmd.MetadataStore(connection), run_id)
    return {execution.component: execution for execution in sorted(executions, key=lambda each: each.id)}


def mark_stale(metadata_file: Path) -> None:
    """Notes that artifacts are gone whose file or folder is missing, and that executions ended that were killed.

    No run may go on. Raises MetadataError if the file cannot be written to.
    """
    with _faults_named(f"cannot note in {str(metadata_file)!r} which artifacts are gone"):
        store = _connect(metadata_file, SqliteMetadataSourceConfig.READWRITE)
        live = [each for each in store.get_artifacts() if each.state == ArtifactProto.LIVE]
        gone = [each for each in live if not Path(each.uri).exists()]
        for artifact in gone:
            artifact.state = ArtifactProto.DELETED
        killed = [each for each in store.get_executions() if each.last_known_state in _UNFINISHED]
        for execution in killed:
            execution.last_known_state = ExecutionProto.CANCELED
        if gone:
            store.put_artifacts(gone)
        if killed:
            store.put_executions(killed)


@contextmanager
def _faults_named(what: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, mlmd.errors.StatusError) as error:
        # The whole SQL statement follows the cause.
        raise MetadataError(f"{what}: {str(error).partition(' query:  ')[0]}") from None


def _open(metadata_file: Path) -> mlmd.MetadataStore:
    modes = SqliteMetadataSourceConfig
    try:
        return _connect(metadata_file, modes.READONLY)
    except RuntimeError:
        # A run killed during a write leaves a journal, which SQLite has to undo before anyone reads.
        if not Path(f"{metadata_file}-journal").is_file():
            raise
        return _connect(metadata_file, modes.READWRITE)


def _connect(metadata_file: Path, mode: Any) -> mlmd.MetadataStore:
    sqlite = SqliteMetadataSourceConfig(filename_uri=str(metadata_file), connection_mode=mode)
    return mlmd.MetadataStore(ConnectionConfig(sqlite=sqlite))


def _read_executions(store: mlmd.MetadataStore, only_run: str | None = None) -> Iterator[Execution]:
    """Sends few large queries: some hundred runs have thousands of executions."""
    protos: dict[int, ExecutionProto] = {}
    run_of: dict[int, str] = {}
    for run in _run_contexts(store, only_run):
        for execution in store.get_executions_by_context(run.id):
            protos[execution.id], run_of[execution.id] = execution, run.name
    if only_run is None:
        nodes = {
            execution.id: node.name
            for node in store.get_contexts_by_type("node")
            for execution in store.get_executions_by_context(node.id)
        }
    else:  # in a store that many pipelines share, what belongs to every node may be a great deal
        nodes = {
            number: context.name
            for number in protos
            for context in store.get_contexts_by_execution(number)
            if context.type == "node"
        }
    component_of = {number: name.partition(".")[2] for number, name in nodes.items()}
    types = {artifact_type.id: artifact_type.name for artifact_type in store.get_artifact_types()}
    events = store.get_events_by_execution_ids(protos) if protos else []
    artifacts = {
        artifact.id: Artifact(artifact.id, types[artifact.type_id], artifact.uri, _properties(artifact))
        for artifact in store.get_artifacts_by_id({event.artifact_id for event in events})
    }
    ends: dict[tuple[int, bool], dict[str, list[Artifact]]] = {}
    for event in events:
        if event.type in (Event.INPUT, Event.OUTPUT):
            named = ends.setdefault((event.execution_id, event.type == Event.OUTPUT), {})
            named.setdefault(event.path.steps[0].key, []).append(artifacts[event.artifact_id])
    for number, proto in protos.items():
        yield Execution(
            id=number,
            run_id=run_of[number],
            component=component_of[number],
            state=ExecutionProto.State.Name(proto.last_known_state).lower(),
            seconds=(proto.last_update_time_since_epoch - proto.create_time_since_epoch) / 1000,
            properties=_properties(proto),
            inputs=ends.get((number, False), {}),
            outputs=ends.get((number, True), {}),
        )


def _run_contexts(store: mlmd.MetadataStore, only_run: str | None) -> list[Any]:
    if only_run is None:
        return list(store.get_contexts_by_type("pipeline_run"))
    run = store.get_context_by_type_and_name("pipeline_run", only_run)
    return [run] if run is not None else []


def _properties(proto: Any) -> dict[str, Any]:
    """Declared and custom properties; protos become JSON."""
    values = {}
    for name, value in [*proto.properties.items(), *proto.custom_properties.items()]:
        kind = value.WhichOneof("value")
        if kind in ("int_value", "double_value", "string_value", "bool_value"):
            values[name] = getattr(value, kind)
        elif kind is not None:
            values[name] = MessageToDict(getattr(value, kind))
    return values
