"""The pipeline that is compiled for a cluster, with stand-ins for the paths of a run."""

from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx

from crackgate.config.configuration import Config
from crackgate.runs.workspace import Workspace
from kubeflow.task.parameters import STAND_INS
from pipeline.definition import create_pipeline


def remote_pipeline(classes: list[str], config: Config, enable_cache: bool) -> tfx.dsl.Pipeline:
    """Makes the pipeline that LocalDagRunner runs, with stand-ins for its paths; `classes` are in label order."""
    workspace = Workspace(Path(STAND_INS.workspace))
    return create_pipeline(
        data=Path(STAND_INS.data),
        classes=classes,
        config=config,
        pipeline_root=workspace.pipeline_root,
        serving_dir=Path(STAND_INS.serving),
        # Below the run's own work folder, which is each task's current one.
        trainer_work_dir=Path("trainer"),
        # Each task reads the store from its environment.
        metadata=metadata_store_pb2.ConnectionConfig(),
        enable_cache=enable_cache,
    )
