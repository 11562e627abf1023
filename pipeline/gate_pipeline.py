"""The pipeline of `crackgate gate`, and its run on this machine. The import brings in TFX and TensorFlow."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tfx.components import Evaluator
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.image_example_gen.component import ImageExampleGen
from components.shared.model_artifact import copy_as_artifact
from crackgate.contracts.stored_example import TEST_SPLIT
from crackgate.runs.summary import Summary
from pipeline.beam_profiles import add_component_args, beam_pipeline_args
from pipeline.definition import pipeline_name
from pipeline.eval_config import EXTRACTION_MODULE, build_eval_config
from pipeline.local_runner import execute_pipeline
from pipeline.progress import ComponentEvents
from pipeline.request import RunRequest


def execute_gate_pipeline(request: RunRequest, summary: Summary, model: Path, events: ComponentEvents) -> None:
    """Runs the gate on the SavedModel in `model` and fills the summary in, however the run ends.

    `events` is attached to the root logger, and knows the components' durations.
    """
    # Same model, same path.
    artifact = copy_as_artifact(model, request.workspace.gated / _digest(model)[:16])
    summary.outputs["model"] = path_utils.serving_model_path(str(artifact))
    pipeline = _create_pipeline(request, summary.classes, artifact, summary.positive.names)
    execute_pipeline(pipeline, request.config, summary, events)


def _create_pipeline(request: RunRequest, classes: list[str], model: Path, positive_classes: Sequence[str]) -> Pipeline:
    """ImageExampleGen with every image in test, the model as it is, and the Evaluator.

    Its own name keeps models that are judged here from being a baseline of runs that release.
    """
    config, workspace = request.config, request.workspace
    example_gen = ImageExampleGen(request.data, classes, config.data, {TEST_SPLIT: 1})
    importer = Importer(source_uri=str(model), artifact_type=standard_artifacts.Model)
    evaluator = Evaluator(
        examples=example_gen.outputs["examples"],
        model=importer.with_id("ModelImporter").outputs["result"],
        eval_config=build_eval_config(classes, positive_classes, config.gate),
        example_splits=[TEST_SPLIT],
        module_path=EXTRACTION_MODULE,
    )
    components = [example_gen, importer, evaluator]
    add_component_args(components, config.beam)
    return Pipeline(
        pipeline_name=f"{pipeline_name(classes)}-gate",
        pipeline_root=str(workspace.pipeline_root),
        components=components,
        enable_cache=request.enable_cache,
        metadata_connection_config=sqlite_metadata_connection_config(str(workspace.metadata_file)),
        beam_pipeline_args=beam_pipeline_args(config.beam),
    )


def _digest(model: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in model.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(model)}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
