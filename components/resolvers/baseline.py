"""The released model that a candidate is compared with."""

import ml_metadata as mlmd
from tfx import types
from tfx.dsl.components.common import resolver
from tfx.orchestration.portable.mlmd import event_lib

from components.resolvers.in_production import find_releases


class ModelInProductionStrategy(resolver.ResolverStrategy):
    """Finds the model in production, or the one before if that is the candidate itself.

    The Trainer's cached model may be the one in production. TFX's LatestBlessedModelStrategy would compare it with
    itself. It also knows no rollback, and takes models that were never released.

    The inputs are `model`, `pushed_model` and `candidate`.
    """

    def resolve_artifacts(
        self,
        store: mlmd.MetadataStore,
        input_dict: dict[str, list[types.Artifact]],
    ) -> dict[str, list[types.Artifact]]:
        """Returns at most one artifact of `model`, and nothing else."""
        candidates = {artifact.id for artifact in input_dict["candidate"]}
        models = {artifact.id: artifact for artifact in input_dict["model"] if artifact.id not in candidates}
        for pushed in find_releases(input_dict["pushed_model"]):
            released = _models_of(store, pushed) & models.keys()
            if released:
                return {"model": [models[max(released)]], "pushed_model": [], "candidate": []}
        return {"model": [], "pushed_model": [], "candidate": []}


def _models_of(store: mlmd.MetadataStore, pushed: types.Artifact) -> set[int]:
    """Ids of the Pusher's input `model`."""
    makers = {
        event.execution_id
        for event in store.get_events_by_artifact_ids([pushed.id])
        if event_lib.is_valid_output_event(event)
    }
    events = store.get_events_by_execution_ids(list(makers)) if makers else []
    return {event.artifact_id for event in events if event_lib.is_valid_input_event(event, "model")}
