"""TFX's own KubeflowV2DagRunner, for Vertex AI: what it can compile, and what it cannot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.components.base import base_driver
from tfx.dsl.components.common import importer, resolver
from tfx.orchestration.kubeflow.v2 import compiler_utils

_STRATEGIES = ("LatestArtifactStrategy", "LatestBlessedModelStrategy")


class VertexError(Exception):
    """The pipeline cannot run on Vertex AI; the message says which nodes are in the way, and what to do."""


def compile_for_vertex(pipeline: tfx.dsl.Pipeline, image: str, file: Path) -> None:
    """Writes the pipeline for Vertex AI.

    Args:
        pipeline: With a `gs://` pipeline root.
        image: The image of every node.
        file: What to write, `.yaml`.

    Raises:
        VertexError: Nodes of the pipeline do not survive KubeflowV2DagRunner.
    """
    if obstacles := list(find_obstacles(pipeline)):
        raise VertexError(
            f"TFX's KubeflowV2DagRunner, the only way to Vertex AI, cannot take this pipeline: {'; '.join(obstacles)}. "
            "Use --target kfp: open-source Kubeflow Pipelines also run on Google Kubernetes Engine"
        )
    tfx.orchestration.experimental.KubeflowV2DagRunner(
        config=tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(default_image=image),
        output_dir=str(file.parent),
        output_filename=file.name,
    ).run(pipeline)


def find_obstacles(pipeline: tfx.dsl.Pipeline) -> Iterator[str]:
    """Yields what the runner refuses, and what it would drop without a word, in sentences."""
    for node in pipeline.components:
        if isinstance(node, resolver.Resolver):
            strategy = node.exec_properties[resolver.RESOLVER_STRATEGY_CLASS]
            if strategy.__name__ not in _STRATEGIES:
                yield f"{node.id} asks ML Metadata by {strategy.__name__}; only {' and '.join(_STRATEGIES)} are known"
        elif not isinstance(node, importer.Importer) and node.driver_class is not base_driver.BaseDriver:
            yield f"{node.id} has a driver of its own, {node.driver_class.__name__}, which is never run there"
        for name, channel in node.outputs.items():
            if not _is_known_type(channel.type):
                yield f"{node.id} makes {name!r} of the type {channel.type.TYPE_NAME}, which is none of TFX's"


def _is_known_type(artifact_type: Any) -> bool:
    try:
        compiler_utils.get_artifact_schema(artifact_type)
    except ValueError:
        return False
    return True
