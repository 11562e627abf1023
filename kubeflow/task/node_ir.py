"""One node's part of the TFX IR, as text that no expansion changes on its way into a container."""

import base64
import zlib

from tfx.orchestration.local import runner_utils
from tfx.proto.orchestration import pipeline_pb2
from tfx.proto.orchestration.local_deployment_config_pb2 import LocalDeploymentConfig as Deployment


def prune(pipeline: pipeline_pb2.Pipeline, node_id: str) -> pipeline_pb2.Pipeline:
    """Returns the pipeline with this one node, its executor and its driver, and without the metadata store."""
    deployment = pipeline_pb2.IntermediateDeploymentConfig()
    pipeline.deployment_config.Unpack(deployment)
    kept = pipeline_pb2.IntermediateDeploymentConfig()
    for name in ("executor_specs", "custom_driver_specs", "node_level_platform_configs"):
        if node_id in getattr(deployment, name):
            getattr(kept, name)[node_id].CopyFrom(getattr(deployment, name)[node_id])
    pruned = pipeline_pb2.Pipeline(
        pipeline_info=pipeline.pipeline_info,
        nodes=[node for node in pipeline.nodes if node.pipeline_node.node_info.id == node_id],
        runtime_spec=pipeline.runtime_spec,
        execution_mode=pipeline.execution_mode,
        sdk_version=pipeline.sdk_version,
    )
    pruned.deployment_config.Pack(kept, deterministic=True)
    return pruned


def deployment_of(pruned: pipeline_pb2.Pipeline) -> Deployment:
    """Returns executor and driver of the one node."""
    return runner_utils.extract_local_deployment_config(pruned)


def pack(content: bytes) -> str:
    """Base64 of zlib: no quotes, no line ends, and neither `{{` (KFP's placeholders) nor `$(` (Kubernetes')."""
    return base64.b64encode(zlib.compress(content, 9)).decode("ascii")


def unpack(text: str) -> bytes:
    """Reverses `pack`; raises ValueError for any other text."""
    try:
        return zlib.decompress(base64.b64decode(text, validate=True))
    except (ValueError, zlib.error) as error:
        raise ValueError(
            f"received {text[:40]!r}..., {len(text)} characters, which are no packed part of a pipeline ({error}): "
            "compile the pipeline again with 'crackgate kubeflow compile'"
        ) from None
