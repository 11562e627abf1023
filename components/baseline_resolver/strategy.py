"""Which released model a candidate is compared with."""

import ml_metadata as mlmd
from tfx import types
from tfx.dsl.components.common import resolver
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy


class LatestOtherBlessedModelStrategy(resolver.ResolverStrategy):
    """The latest blessed model that is not the candidate itself.

    When nothing changed, the Trainer's cached model is the latest blessed one. TFX's own strategy would compare the
    model with itself, which proves nothing and, as a changed input, evaluates and pushes it again.

    The Resolver's inputs are `model`, `model_blessing` and `candidate`.
    """

    def resolve_artifacts(
        self,
        store: mlmd.MetadataStore,
        input_dict: dict[str, list[types.Artifact]],
    ) -> dict[str, list[types.Artifact]]:
        """Returns `model` and `model_blessing` of at most one artifact each, and an empty `candidate`."""
        candidates = {artifact.id for artifact in input_dict["candidate"]}
        others = {
            "model": [artifact for artifact in input_dict["model"] if artifact.id not in candidates],
            "model_blessing": input_dict["model_blessing"],
        }
        resolved = LatestBlessedModelStrategy().resolve_artifacts(store, others) or {}
        return {"model": [], "model_blessing": [], "candidate": [], **resolved}
