"""Fixtures for tests that run components for real: TFX's launcher, Beam's in-process runner and an SQLite MLMD.

TFX takes many seconds to import, so it is imported where it is used: unit tests start at once.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from crackgate.images.sample_data import write_sample_data
from pipeline.heavy_imports import garbage_collection_paused

if TYPE_CHECKING:
    import tensorflow as tf
    from tfx.dsl.components.base.base_component import BaseComponent
    from tfx.types import Artifact

    from crackgate.config.beam import BeamOptions
    from tools.flink_cluster.cluster import FlinkCluster

_PIPELINE = "bench"
_TMPDIR = os.environ.get("TMPDIR")


@dataclass(frozen=True)
class Bench:
    """Runs components one pipeline after the other on one metadata store, so that the second run may use the cache."""

    root: Path
    beam: "BeamOptions | None" = None

    def run(self, *components: "BaseComponent") -> None:
        """Runs `components` to the end; what one of them raises is raised here."""
        from tfx import v1 as tfx

        from crackgate.config.beam import BeamOptions
        from pipeline.beam_lookups import remembered_lookups
        from pipeline.beam_profiles import beam_pipeline_args

        pipeline = tfx.dsl.Pipeline(
            pipeline_name=_PIPELINE,
            pipeline_root=str(self.root / "artifacts"),
            components=list(components),
            enable_cache=True,
            metadata_connection_config=self._connection(),
            beam_pipeline_args=beam_pipeline_args(self.beam or BeamOptions()),
        )
        # As runs do: it saves seconds.
        with remembered_lookups():
            tfx.orchestration.LocalDagRunner().run(pipeline)

    def states(self, component: str) -> list[str]:
        """How every execution of `component` ended, the first one first: COMPLETE, CACHED or FAILED."""
        from ml_metadata.proto import metadata_store_pb2

        names = metadata_store_pb2.Execution.State
        return [names.Name(execution.last_known_state) for execution in self._executions(component)]

    def output(self, component: str, key: str) -> "Artifact":
        """The only artifact under `key` of the latest execution of `component`."""
        from tfx.orchestration.metadata import Metadata
        from tfx.orchestration.portable.mlmd import execution_lib

        latest = self._executions(component)[-1]
        with Metadata(self._connection()) as handle:
            (artifact,) = execution_lib.get_output_artifacts(handle, latest.id)[key]
        return artifact

    def json_output(self, component: str, key: str) -> Any:
        """The content of a JsonValue."""
        return json.loads(Path(self.output(component, key).uri).read_text(encoding="utf-8"))

    def examples(self, component: str = "ImageExampleGen") -> dict[str, list["tf.train.Example"]]:
        """What is stored, by split."""
        import tensorflow as tf
        from tfx.types import artifact_utils

        artifact = self.output(component, "examples")
        stored = {}
        for split in artifact_utils.decode_split_names(artifact.split_names):
            files = sorted(map(str, Path(artifact_utils.get_split_uri([artifact], split)).glob("*.gz")))
            records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
            stored[split] = [tf.train.Example.FromString(record) for record in records]
        return stored

    def _connection(self) -> Any:
        from tfx.orchestration.metadata import sqlite_metadata_connection_config

        return sqlite_metadata_connection_config(str(self.root / "metadata.sqlite"))

    def _executions(self, component: str) -> list[Any]:
        from ml_metadata import MetadataStore

        store = MetadataStore(self._connection())
        node = store.get_context_by_type_and_name("node", f"{_PIPELINE}.{component}")
        executions = store.get_executions_by_context(node.id) if node else []
        return sorted(executions, key=lambda execution: execution.id)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spares the garbage collector what the tests import: a tenth of their time."""
    with garbage_collection_paused():
        return (yield)


@pytest.fixture(autouse=True)
def _process_as_it_began() -> None:
    """Undoes what a process does once: earlier tests, and fixtures that outlive them, reach no other test."""
    tempfile.tempdir = None
    if _TMPDIR is None:
        os.environ.pop("TMPDIR", None)
    else:
        os.environ["TMPDIR"] = _TMPDIR
    # Clients keep the address of the store that they were opened for.
    if store := sys.modules.get("crackgate.storage.object_store"):
        store._open.cache_clear()


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 photographs of each class, 64 pixels square. Copy the folder to change it."""
    folder = tmp_path_factory.mktemp("photographs")
    # With this seed every split has two and more of each class.
    write_sample_data(folder, 40, seed=2, size=64)
    return folder


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[FlinkCluster]":
    """A job manager, two task managers with two slots and a worker pool each, and Beam's job server."""
    from tools.flink_cluster.cluster import FlinkCluster
    from tools.flink_cluster.software import MissingSoftwareError, fetch_software

    try:
        software = fetch_software()
    except MissingSoftwareError as missing:
        pytest.skip(f"no Flink cluster: {missing}")
    cluster = FlinkCluster.start(tmp_path_factory.mktemp("flink"), software)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def new_bench(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bench]:
    """Makes a bench with a metadata store of its own."""

    def make(beam: "BeamOptions | None" = None) -> Bench:
        return Bench(tmp_path_factory.mktemp("bench"), beam)

    return make
