"""Which released model a candidate is compared with."""

import ml_metadata as mlmd
from tfx import types
from tfx.dsl.components.common import resolver
from tfx.orchestration.portable.mlmd import event_lib

from components.resolvers.in_production import find_releases


class ModelInServiceStrategy(resolver.ResolverStrategy):
    """The model of the newest version that is not withdrawn, unless it is the candidate itself: then the one before.

    When nothing changed, the Trainer's cached model is the one in service. TFX's LatestBlessedModelStrategy would
    compare the model with itself, which proves nothing and, as a changed input, evaluates and pushes it again. It
    knows no rollback either, and takes a model that was blessed and never released.

    The Resolver's inputs are `model`, `pushed_model` and `candidate`.
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
    """Ids of what the Pusher was given as its model."""
    makers = {
        event.execution_id
        for event in store.get_events_by_artifact_ids([pushed.id])
        if event_lib.is_valid_output_event(event)
    }
    events = store.get_events_by_execution_ids(list(makers)) if makers else []
    return {event.artifact_id for event in events if event_lib.is_valid_input_event(event, "model")}
