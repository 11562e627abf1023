"""Vertex AI, through TFX's own runner: what it takes is compiled, what it would lose is said."""

from pathlib import Path

import pytest
import yaml

pytest.importorskip("kfp")


def test_what_cannot_run_there_is_named_node_by_node(tmp_path: Path) -> None:
    from kubeflow.definition import remote_pipeline
    from kubeflow.vertex import VertexError, compile_for_vertex
    from pipeline.config import load_config

    pipeline = remote_pipeline(["a", "b"], load_config(), enable_cache=True)
    with pytest.raises(VertexError) as refused:
        compile_for_vertex(pipeline, "gcr.io/p/crackgate:1", tmp_path / "pipeline.yaml")
    message = str(refused.value)
    assert "ImageExampleGen has a driver of its own, ImageFolderDriver" in message
    assert "ReleasedStatisticsResolver asks ML Metadata by ReleasedStatisticsStrategy" in message
    assert "DataPage makes 'page' of the type HtmlPage" in message and "--target kfp" in message
    assert not (tmp_path / "pipeline.yaml").exists()


def test_what_can_run_there_is_compiled(tmp_path: Path) -> None:
    from tfx import v1 as tfx

    from kubeflow.vertex import compile_for_vertex

    examples = tfx.dsl.Importer(source_uri="gs://b/examples", artifact_type=tfx.types.standard_artifacts.Examples)
    statistics = tfx.components.StatisticsGen(examples=examples.with_id("Photographs").outputs["result"])
    pipeline = tfx.dsl.Pipeline(pipeline_name="plain", pipeline_root="gs://b/root", components=[examples, statistics])
    compile_for_vertex(pipeline, "gcr.io/p/crackgate:1", tmp_path / "pipeline.yaml")
    specification = next(yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text()))
    assert set(specification["root"]["dag"]["tasks"]) == {"Photographs", "StatisticsGen"}
