"""The released statistics that a run's are compared with."""

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.components.common import resolver

from components.resolvers.in_production import find_releases


class ReleasedStatisticsStrategy(resolver.ResolverStrategy):
    """Finds the statistics of the run that released the newest version that is not withdrawn.

    They may be this run's own: images that were released do not differ from the last release.
    The inputs are `statistics` and `pushed_model`.
    """

    def resolve_artifacts(
        self,
        store: mlmd.MetadataStore,
        input_dict: dict[str, list[types.Artifact]],
    ) -> dict[str, list[types.Artifact]]:
        """Returns at most one artifact of `statistics`, and nothing else."""
        found = [
            statistics
            for model in find_releases(input_dict["pushed_model"])[:1]
            # The first of its runs released it; the others took it over from the cache.
            for released_by in sorted(_runs(store, model))[:1]
            for statistics in input_dict["statistics"]
            if statistics.id in _made_in(store, released_by)
        ]
        return {"statistics": found[:1], "pushed_model": []}


def _made_in(store: mlmd.MetadataStore, run: int) -> set[int]:
    """Ids of what the components of a run made or took over from the cache; what its resolvers found does not count."""
    executions = [execution.id for execution in store.get_executions_by_context(run)]
    events = store.get_events_by_execution_ids(executions) if executions else []
    return {event.artifact_id for event in events if event.type == metadata_store_pb2.Event.OUTPUT}


def _runs(store: mlmd.MetadataStore, artifact: types.Artifact) -> set[int]:
    return {context.id for context in store.get_contexts_by_artifact(artifact.id) if context.type == "pipeline_run"}
