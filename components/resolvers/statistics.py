"""The released statistics that a run's are compared with."""

import ml_metadata as mlmd
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
            if released_by in _runs(store, statistics)
        ]
        return {"statistics": found[:1], "pushed_model": []}


def _runs(store: mlmd.MetadataStore, artifact: types.Artifact) -> set[int]:
    return {context.id for context in store.get_contexts_by_artifact(artifact.id) if context.type == "pipeline_run"}
