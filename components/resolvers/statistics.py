"""The released statistics that a run's are compared with."""

import ml_metadata as mlmd
from tfx import types
from tfx.dsl.components.common import resolver

from components.resolvers.in_production import find_releases


class ReleasedStatisticsStrategy(resolver.ResolverStrategy):
    """Finds the statistics of the run that released the version in production, unless they are this run's own.

    The inputs are `statistics`, `pushed_model` and `candidate`, this run's statistics.
    """

    def resolve_artifacts(
        self,
        store: mlmd.MetadataStore,
        input_dict: dict[str, list[types.Artifact]],
    ) -> dict[str, list[types.Artifact]]:
        """Returns at most one artifact of `statistics`, and nothing else."""
        own = {artifact.id for artifact in input_dict["candidate"]}
        runs_of = {artifact.id: _runs(store, artifact) for artifact in input_dict["statistics"]}
        for model in find_releases(input_dict["pushed_model"]):
            # The first of its runs released it; the others took it over from the cache.
            released_by = min(_runs(store, model), default=None)
            for statistics in input_dict["statistics"]:
                if released_by in runs_of[statistics.id] and statistics.id not in own:
                    return {"statistics": [statistics], "pushed_model": [], "candidate": []}
        return {"statistics": [], "pushed_model": [], "candidate": []}


def _runs(store: mlmd.MetadataStore, artifact: types.Artifact) -> set[int]:
    return {context.id for context in store.get_contexts_by_artifact(artifact.id) if context.type == "pipeline_run"}
