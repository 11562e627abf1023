"""The work of DriftCheck.

Its findings, divergences by split and feature; `drift` is null when there is no released run to compare with:

    {"drift": {"train": {"image/quality/brightness": 0.02, ...}, ...}, "skew": {"eval": {...}, "test": {...}}}
"""

from dataclasses import dataclass
from typing import Any

from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList
from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.drift_check.divergence import divergence_by_chance, divergences, mean
from components.shared.outliers import find_outliers
from components.shared.parameters import OPTIONS
from crackgate.config.drift import DriftOptions
from crackgate.contracts import stored_example
from crackgate.contracts.errors import DataRejectedError

# What a camera, light or surface changes.
COMPARED = (
    stored_example.BRIGHTNESS,
    stored_example.CONTRAST,
    stored_example.SHARPNESS,
    stored_example.ENTROPY,
    stored_example.HEIGHT,
    stored_example.WIDTH,
)


class Executor(base_executor.BaseExecutor):
    """Compares each split with the released run's, and eval and test with train."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Passes silently, or stops the run.

        Raises:
            DataRejectedError: A divergence is too large; the reasons name split, feature, by how much, and images.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        own = _load(artifact_utils.get_single_instance(input_dict["statistics"]))
        released = [_load(artifact) for artifact in input_dict.get("released_statistics", [])]
        options = DriftOptions.model_validate_json(exec_properties[OPTIONS])
        drift, reasons = None, []
        if released:
            drift = {split: divergences(own[split], released[0][split], COMPARED) for split in stored_example.SPLITS}
            allowed = Allowance("the last released run", options.max_drift, "drift.max_drift")
            for split, found in drift.items():
                reasons += _describe(found, split, own[split], released[0][split], allowed, examples)
        train = own[stored_example.TRAIN_SPLIT]
        skew = {
            split: divergences(own[split], train, COMPARED)
            for split in (stored_example.EVAL_SPLIT, stored_example.TEST_SPLIT)
        }
        allowed = Allowance("split 'train'", options.max_skew, "drift.max_skew")
        for split, found in skew.items():
            reasons += _describe(found, split, own[split], train, allowed, examples)
        if reasons:
            raise DataRejectedError(reasons)
        artifact_utils.get_single_instance(output_dict["findings"]).write({"drift": drift, "skew": skew})


@dataclass(frozen=True)
class Allowance:
    """What a split is compared with, and how far from it it may be by which option."""

    reference: str
    divergence: float
    option: str


def _describe(
    found: dict[str, float],
    split: str,
    here: DatasetFeatureStatisticsList,
    there: DatasetFeatureStatisticsList,
    allowed: Allowance,
    examples: types.Artifact,
) -> list[str]:
    chance = divergence_by_chance(here, there)
    return [
        f"split {split!r}, {feature}: differs from {allowed.reference}: Jensen-Shannon divergence {divergence:.3f}, "
        f"allowed is {allowed.divergence:g} ({allowed.option}) and {chance:.3f} for chance; mean "
        f"{mean(here, feature):.4g} here, {mean(there, feature):.4g} there; farthest from there: "
        + find_outliers(examples, split, feature, mean(there, feature))
        for feature, divergence in found.items()
        if divergence > allowed.divergence + chance
    ]


def _load(artifact: types.Artifact) -> dict[str, DatasetFeatureStatisticsList]:
    return {split: stats_artifact_utils.load_statistics(artifact, split).proto() for split in stored_example.SPLITS}
