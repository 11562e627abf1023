"""The statistics of the last release, from a metadata store of a few runs."""

from collections.abc import Sequence

import ml_metadata as mlmd
import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.types import Artifact, standard_artifacts

from components.resolvers.statistics import ReleasedStatisticsStrategy
from crackgate.contracts.pushed_model import PUSHED, PUSHED_DESTINATION, PUSHED_VERSION


class _Runs:
    """A store, and what its runs made or took over."""

    def __init__(self) -> None:
        config = metadata_store_pb2.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store = mlmd.MetadataStore(config)
        self._run = self.store.put_context_type(metadata_store_pb2.ContextType(name="pipeline_run"))
        self._execution = self.store.put_execution_type(metadata_store_pb2.ExecutionType(name="component"))
        self.statistics: list[Artifact] = []
        self.pushed: list[Artifact] = []

    def _put(self, artifact: Artifact) -> Artifact:
        artifact.uri = "somewhere"
        artifact.type_id = self.store.put_artifact_type(artifact.artifact_type, can_add_fields=True)
        (artifact.id,) = self.store.put_artifacts([artifact.mlmd_artifact])
        return artifact

    def new_statistics(self) -> Artifact:
        self.statistics.append(self._put(standard_artifacts.ExampleStatistics()))
        return self.statistics[-1]

    def new_release(self, version: int) -> Artifact:
        pushed = standard_artifacts.PushedModel()
        pushed.set_int_custom_property(PUSHED, 1)
        pushed.set_string_custom_property(PUSHED_DESTINATION, f"/no/such/serving/{version}")
        pushed.set_string_custom_property(PUSHED_VERSION, str(version))
        self.pushed.append(self._put(pushed))
        return self.pushed[-1]

    def run(self, *made: Artifact, resolved: Sequence[Artifact] = ()) -> None:
        """A run whose components made artifacts or took them over from the cache, and whose resolvers found others."""
        context = metadata_store_pb2.Context(type_id=self._run, name=f"run {len(self.store.get_contexts())}")
        (number,) = self.store.put_contexts([context])
        context.id = number
        kinds = metadata_store_pb2.Event
        for artifacts, kind in ((made, kinds.OUTPUT), (resolved, kinds.INTERNAL_OUTPUT)):
            execution = metadata_store_pb2.Execution(type_id=self._execution)
            pairs = [(artifact.mlmd_artifact, kinds(type=kind)) for artifact in artifacts]
            self.store.put_execution(execution, pairs, [context])

    def resolve(self) -> list[Artifact]:
        inputs = {"statistics": self.statistics, "pushed_model": self.pushed}
        return ReleasedStatisticsStrategy().resolve_artifacts(self.store, inputs)["statistics"]


def test_without_a_release_there_are_none() -> None:
    runs = _Runs()
    runs.run(runs.new_statistics())
    assert runs.resolve() == []


@pytest.mark.parametrize("again", [0, 1, 3])
def test_they_are_those_of_the_newest_release_even_if_they_are_the_runs_own(again: int) -> None:
    runs = _Runs()
    first, shifted = runs.new_statistics(), runs.new_statistics()
    runs.run(first, runs.new_release(1))
    release = runs.new_release(2)
    # TFX's resolvers leave what they found as internal outputs of the run.
    runs.run(shifted, release, resolved=[first])
    for _ in range(again):
        runs.run(shifted, release, resolved=[shifted])
    assert runs.resolve() == [shifted]


def test_a_run_that_released_nothing_does_not_count() -> None:
    runs = _Runs()
    first, other = runs.new_statistics(), runs.new_statistics()
    runs.run(first, runs.new_release(1))
    runs.run(other)
    assert runs.resolve() == [first]
