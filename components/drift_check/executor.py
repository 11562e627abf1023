"""The work of DriftCheck."""

from dataclasses import dataclass

from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList
from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.drift_check.divergence import divergence_by_chance, divergences, mean
from components.shared.json_value import write_json
from components.shared.outliers import find_outliers
from components.shared.parameters import OPTIONS, Artifacts, Properties
from crackgate.config.drift import DriftOptions
from crackgate.contracts import stored_example
from crackgate.contracts.drift_findings import Divergences, DriftFindings
from crackgate.contracts.errors import DataRejectedError

# Features that another camera, light or surface changes.
COMPARED = (
    stored_example.BRIGHTNESS,
    stored_example.CONTRAST,
    stored_example.SHARPNESS,
    stored_example.ENTROPY,
    stored_example.HEIGHT,
    stored_example.WIDTH,
)


class DriftCheckExecutor(base_executor.BaseExecutor):
    """Compares each split with the released run's, and the others with train."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties) -> None:  # noqa: N802
        """Raises DataRejectedError for too large a divergence; the reasons name split, feature, amount and images.

        Raises ValueError where two splits have no feature to compare.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        own = _load(artifact_utils.get_single_instance(input_dict["statistics"]))
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        options = DriftOptions.model_validate_json(exec_properties[OPTIONS])
        drift: Divergences | None = None
        reasons: list[str] = []
        for artifact in input_dict.get("released_statistics", []):
            released = Reference("the last released run", _load(artifact), options.max_drift, "drift.max_drift")
            drift, reasons = _compare(own, released, examples)
        others = [split for split in own if split != stored_example.TRAIN_SPLIT]
        there = dict.fromkeys(others, own[stored_example.TRAIN_SPLIT]) if stored_example.TRAIN_SPLIT in own else {}
        train = Reference("split 'train'", there, options.max_skew, "drift.max_skew")
        skew, more_reasons = _compare(own, train, examples)
        reasons += more_reasons
        if reasons:
            raise DataRejectedError(reasons)
        findings = DriftFindings(drift=drift, skew=skew)
        write_json(artifact_utils.get_single_instance(output_dict["findings"]), findings.model_dump())


@dataclass(frozen=True)
class Reference:
    """The other side of a comparison: its statistics by split, and an option's largest divergence."""

    name: str
    statistics: dict[str, DatasetFeatureStatisticsList]
    allowed: float
    option: str


def _compare(
    own: dict[str, DatasetFeatureStatisticsList], reference: Reference, examples: types.Artifact
) -> tuple[Divergences, list[str]]:
    """Divergences of the splits that both have, and a sentence about each that is too large."""
    common = {split: there for split, there in reference.statistics.items() if split in own}
    found = {split: divergences(own[split], there, COMPARED) for split, there in common.items()}
    for split, there in common.items():
        if not found[split] and all(each.datasets[0].num_examples for each in (own[split], there)):
            raise ValueError(
                f"split {split!r}: its statistics and those of {reference.name} have none of {', '.join(COMPARED)} in "
                "common: give the statistics of ImageExampleGen's examples"
            )
    reasons = []
    for split, there in common.items():
        here, chance = own[split], divergence_by_chance(own[split], there)
        reasons += [
            f"split {split!r}, {feature}: differs from {reference.name}: Jensen-Shannon divergence {divergence:.3f}, "
            f"allowed is {reference.allowed:g} ({reference.option}) and {chance:.3f} for chance; mean "
            f"{mean(here, feature):.4g} here, {mean(there, feature):.4g} there; farthest from there: "
            + find_outliers(examples, split, feature, mean(there, feature))
            for feature, divergence in found[split].items()
            if divergence > reference.allowed + chance
        ]
    return found, reasons


def _load(artifact: types.Artifact) -> dict[str, DatasetFeatureStatisticsList]:
    splits = artifact_utils.decode_split_names(artifact.split_names)
    return {split: stats_artifact_utils.load_statistics(artifact, split).proto() for split in splits}
