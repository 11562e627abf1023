"""One node of a pipeline, as it would stand in pipeline.yaml."""

from pathlib import Path

from tests.helpers import slow_schema

CLASSES = ["Riß", "裂缝"]


def make_options(folder: Path, slow: bool = False) -> dict[str, str]:
    """The arguments of CuratedSchema's task, besides the run; its folders are below `folder`."""
    from ml_metadata.proto import metadata_store_pb2
    from tfx import v1 as tfx
    from tfx.dsl.compiler import compiler
    from tfx.dsl.components.base import executor_spec

    from components.curated_schema.component import CuratedSchema
    from crackgate.config.schema import SchemaOptions
    from kubeflow.task.node_ir import pack, prune
    from kubeflow.task.parameters import STAND_INS
    from kubeflow.task.sources import digest_of_sources

    schema = CuratedSchema(CLASSES, SchemaOptions())
    if slow:
        schema.executor_spec = executor_spec.ExecutorClassSpec(slow_schema.SlowSchemaExecutor)
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="of-a-test",
        pipeline_root=f"{STAND_INS.workspace}/pipeline",
        components=[schema],
        enable_cache=True,
        metadata_connection_config=metadata_store_pb2.ConnectionConfig(),
    )
    ir = prune(compiler.Compiler().compile(pipeline), "CuratedSchema")
    (folder / "data").mkdir()
    return {
        "node": "CuratedSchema",
        "ir": pack(ir.SerializeToString(deterministic=True)),
        "sources": digest_of_sources(),
        "workspace": str(folder / "workspace"),
        "data": str(folder / "data"),
    }
