"""A workspace as runs leave it behind, written with ML Metadata's own client, without running anything."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto.metadata_store_pb2 import (
    Artifact,
    ArtifactType,
    ConnectionConfig,
    Context,
    ContextType,
    Event,
    Execution,
    ExecutionType,
    SqliteMetadataSourceConfig,
)

from crackgate.config.configuration import Config, load_config
from crackgate.contracts.evaluation import ALL_IMAGES, Evaluation, MetricValue, SliceMetrics
from crackgate.contracts.model_files import MANIFEST_FILE
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.contracts.verdict import Verdict
from crackgate.releases.manifest import Lineage, Release, build_manifest, digest_model, list_files, measure_file
from crackgate.runs.summary import Images, Summary, begin_summary
from crackgate.runs.workspace import Workspace

TYPES = {
    "examples": "Examples",
    "model": "Model",
    "evaluation": "ModelEvaluation",
    "blessing": "ModelBlessing",
    "pushed_model": "PushedModel",
}


class RecordedRuns:
    """Writes runs into a workspace, the way TFX and `crackgate run` do."""

    def __init__(self, root: Path, artifacts: Path = Path("/artifacts")):
        """`artifacts` is the folder of all artifacts, which nobody makes."""
        self.workspace, self._artifacts = Workspace(root), artifacts
        root.mkdir(exist_ok=True)
        mode = SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        sqlite = SqliteMetadataSourceConfig(filename_uri=str(self.workspace.metadata_file), connection_mode=mode)
        self.store = mlmd.MetadataStore(ConnectionConfig(sqlite=sqlite))
        self._type_ids: dict[str, int] = {}

    def copied_to(self, root: Path) -> "RecordedRuns":
        """Copies the workspace: quicker than recording it again. Released models stay where they are recorded."""
        shutil.copytree(self.workspace.root, root)
        return RecordedRuns(root)

    def begin(self, run_id: str) -> None:
        """Makes the run's folder, and makes it known to ML Metadata."""
        (self.workspace.runs / run_id).mkdir(parents=True)
        self.store.put_contexts([self._context("pipeline_run", run_id)])

    def execute(
        self,
        run_id: str,
        component: str,
        inputs: dict[str, int] | None = None,
        outputs: dict[str, dict[str, Any]] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> dict[str, int]:
        """Records a complete execution: `inputs` are artifact ids, `outputs` properties, both by name."""
        made = {}
        for name, properties in (outputs or {}).items():
            type_id = self._type_id(TYPES[name], lambda name: self.store.put_artifact_type(ArtifactType(name=name)))
            made[name] = Artifact(
                type_id=type_id, uri=str(self._artifacts / component / name / run_id), state=Artifact.LIVE
            )
            _set_properties(made[name], {"tfx_version": "1.21.0", **properties})
        ids = self._put(run_id, component, "COMPLETE", inputs or {}, made, parameters or {})
        return dict(zip(made, ids[len(inputs or {}) :], strict=True))

    def record(
        self,
        run_id: str,
        component: str,
        state: str,
        inputs: dict[str, int] | None = None,
        outputs: dict[str, int] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> None:
        """Records an execution in any state; inputs and outputs are artifact ids by name."""
        made = {name: self.store.get_artifacts_by_id([number])[0] for name, number in (outputs or {}).items()}
        self._put(run_id, component, state, inputs or {}, made, parameters or {})

    def ingest(self, run_id: str, fingerprint: str, **parameters: Any) -> int:
        """Records an ImageExampleGen and returns the id of its examples."""
        told = {"input_base": "/photographs", "input_fingerprint": fingerprint, "code_digest": "a1", **parameters}
        return self.execute(run_id, "ImageExampleGen", outputs={"examples": {}}, parameters=told)["examples"]

    def train(self, run_id: str, examples: int, digest: str = "t1") -> int:
        """Records a Trainer and returns the id of its model."""
        parameters = {"custom_config": f'{{"code_digest": "{digest}"}}'}
        return self.execute(run_id, "Trainer", {"examples": examples}, {"model": {}}, parameters)["model"]

    def judge(self, run_id: str, examples: int, model: int, baseline: int | None = None, version: int = 0) -> int:
        """Records an Evaluator and a Pusher; version 0: not blessed. Returns the id of what the Pusher made."""
        blessed = int(version > 0)
        inputs = {"examples": examples, "model": model} | ({} if baseline is None else {"baseline_model": baseline})
        found = self.execute(run_id, "Evaluator", inputs, {"blessing": {"blessed": blessed}, "evaluation": {}})
        pushed: dict[str, Any] = {"pushed": blessed}
        if version:
            folder = self._release(run_id, version)
            pushed |= {"pushed_version": str(version), "pushed_destination": str(folder)}
        inputs = {"model": model, "model_blessing": found["blessing"]}
        return self.execute(run_id, "Pusher", inputs, {"pushed_model": pushed})["pushed_model"]

    def summarize(
        self, run_id: str, verdict: Verdict, *settings: str, metrics: list[MetricValue] | None = None, minute: int = 0
    ) -> Summary:
        """Writes a summary."""
        config = load_config(None, list(settings)) if settings else Config()
        summary = begin_summary(
            run_id,
            Path("/photographs"),
            ["Negative", "Positive"],
            PositiveClasses(names=("Positive",), chosen_by="names"),
            config,
            Path("/log"),
        )
        summary.started = f"2026-11-22T16:{minute:02}:00+0000"
        summary.seconds = 75.4
        summary.images = Images(found=30, ingested=30, groups=30, splits={"test": {"Negative": 4, "Positive": 6}})
        if metrics is not None:
            overall = SliceMetrics(name=ALL_IMAGES, images=10, metrics=metrics)
            dark = SliceMetrics(name="dark", images=2, metrics=[MetricValue(metric="accuracy", value=0.0)])
            summary.evaluation = Evaluation(positive_classes=("Positive",), slices=[dark, overall])
        summary.conclude(verdict, [] if verdict == Verdict.RELEASED else [f"it is {verdict}"])
        folder = self.workspace.runs / run_id
        folder.mkdir(parents=True, exist_ok=True)
        summary.write(folder)
        return summary

    def _release(self, run_id: str, version: int) -> Path:
        folder = self.workspace.serving / str(version)
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_text(run_id)
        files = {name: measure_file(folder / name) for name in list_files(folder)}
        release = Release(lineage=Lineage(pipeline="crackgate-0", run_id=run_id))
        manifest = build_manifest(version, files, digest_model(files), release, signing_key=None)
        (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
        return folder

    def _put(
        self,
        run_id: str,
        component: str,
        state: str,
        inputs: dict[str, int],
        outputs: dict[str, Artifact],
        parameters: dict[str, Any],
    ) -> list[int]:
        """Returns the ids of the inputs and the outputs."""
        name = f"somewhere.{component}"
        type_id = self._type_id(name, lambda name: self.store.put_execution_type(ExecutionType(name=name)))
        execution = Execution(type_id=type_id, last_known_state=Execution.State.Value(state))
        _set_properties(execution, parameters)
        used = {name: self.store.get_artifacts_by_id([number])[0] for name, number in inputs.items()}
        events = [
            (artifact, Event(type=kind, path=Event.Path(steps=[Event.Path.Step(key=name)])))
            for kind, ends in ((Event.INPUT, used), (Event.OUTPUT, outputs))
            for name, artifact in ends.items()
        ]
        contexts = [self._context("pipeline_run", run_id), self._context("node", f"crackgate-0.{component}")]
        _, artifact_ids, _ = self.store.put_execution(execution, events, contexts, reuse_context_if_already_exist=True)
        return list(artifact_ids)

    def _context(self, kind: str, name: str) -> Context:
        type_id = self._type_id(kind, lambda name: self.store.put_context_type(ContextType(name=name)))
        return Context(type_id=type_id, name=name)

    def _type_id(self, name: str, put: Callable[[str], int]) -> int:
        if name not in self._type_ids:
            self._type_ids[name] = put(name)
        return self._type_ids[name]


def _set_properties(proto: Any, properties: dict[str, Any]) -> None:
    for name, value in properties.items():
        if isinstance(value, int):
            proto.custom_properties[name].int_value = value
        else:
            proto.custom_properties[name].string_value = value
