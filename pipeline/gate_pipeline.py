"""The pipeline of `crackgate gate`, and its run on this machine.

Importing this module imports TFX and TensorFlow, which takes ten seconds and more.
"""

import hashlib
import shutil
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx.components import Evaluator
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.image_example_gen.component import ImageExampleGen
from crackgate.atomic_files import whole_folder
from crackgate.config.configuration import Config
from crackgate.contracts.stored_example import TEST_SPLIT
from crackgate.runs.summary import Summary
from crackgate.runs.workspace import Workspace
from pipeline.beam_profiles import add_component_args, beam_pipeline_args
from pipeline.definition import pipeline_name
from pipeline.eval_config import EXTRACTION_MODULE, build_eval_config
from pipeline.local_runner import execute_pipeline
from pipeline.progress import ComponentEvents


def execute_gate_pipeline(
    summary: Summary,
    model: Path,
    positive: str | None,
    config: Config,
    workspace: Workspace,
    events: ComponentEvents,
    enable_cache: bool,
) -> None:
    """Runs the gate and fills the summary in, however the run ends.

    Args:
        summary: Of a run that begins: `run_id`, `data` and `classes` are set.
        model: The SavedModel's folder.
        positive: The positive class, or None.
        config: The configuration.
        workspace: Where everything is written.
        events: Attached to the root logger; it knows the components' durations.
        enable_cache: Whether components may take over outputs of earlier runs.
    """
    metadata = sqlite_metadata_connection_config(str(workspace.metadata_file))
    artifact = _copy_as_artifact(model, workspace.gated)
    summary.outputs["model"] = path_utils.serving_model_path(str(artifact))
    pipeline = create_gate_pipeline(summary, artifact, positive, config, workspace, metadata, enable_cache)
    execute_pipeline(summary, pipeline, metadata, events, config, positive)


def create_gate_pipeline(
    summary: Summary,
    artifact: Path,
    positive: str | None,
    config: Config,
    workspace: Workspace,
    metadata: metadata_store_pb2.ConnectionConfig,
    enable_cache: bool,
) -> Pipeline:
    """Builds the pipeline: ImageExampleGen, with every image in test, the model as it is, and the Evaluator.

    Its name is not that of the runs that release: what was judged here is no baseline there.
    """
    example_gen = ImageExampleGen(Path(summary.data), summary.classes, config.data, {TEST_SPLIT: 1})
    importer = Importer(source_uri=str(artifact), artifact_type=standard_artifacts.Model)
    evaluator = Evaluator(
        examples=example_gen.outputs["examples"],
        model=importer.with_id("ModelImporter").outputs["result"],
        eval_config=build_eval_config(summary.classes, positive, config.gate),
        example_splits=[TEST_SPLIT],
        module_path=EXTRACTION_MODULE,
    )
    components = [example_gen, importer, evaluator]
    add_component_args(components, config.beam)
    return Pipeline(
        pipeline_name=f"{pipeline_name(summary.classes)}-gate",
        pipeline_root=str(workspace.pipeline_root),
        components=components,
        enable_cache=enable_cache,
        metadata_connection_config=metadata,
        beam_pipeline_args=beam_pipeline_args(config.beam, Path(summary.data)),
    )


def _copy_as_artifact(model: Path, folder: Path) -> Path:
    """Copies the model to where TFX looks for it in an artifact, under the digest of its files: same model, same path.

    A copy, because TFX evaluates again only when the path changes, and the original may be written over.
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in model.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(model)}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    artifact = folder / digest.hexdigest()[:16]
    if not artifact.exists():
        with whole_folder(artifact) as partial:
            shutil.copytree(model, path_utils.serving_model_dir(str(partial)))
    return artifact
