"""The work of DataGate."""

from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.errors import DataRejectedError


class Executor(base_executor.BaseExecutor):
    """Reads the anomalies of every split and puts them into words."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Passes silently, or stops the run.

        Raises:
            DataRejectedError: There is an anomaly; the reasons name split, feature and what is wrong with it.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        artifact = artifact_utils.get_single_instance(input_dict["anomalies"])
        findings = []
        for split in artifact_utils.decode_split_names(artifact.split_names):
            file = Path(artifact_utils.get_split_uri([artifact], split)) / DEFAULT_FILE_NAME
            findings += describe(split, anomalies_pb2.Anomalies.FromString(file.read_bytes()))
        if findings:
            raise DataRejectedError(findings)
        artifact_utils.get_single_instance(output_dict["findings"]).write(findings)


def describe(split: str, anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """One sentence per anomaly of `split`."""
    sentences = [
        f"split {split!r}, {feature}: {reason.short_description}: {reason.description}"
        for feature, information in sorted(anomalies.anomaly_info.items())
        for reason in information.reason
    ]
    dataset = anomalies.dataset_anomaly_info
    limits = anomalies.baseline.dataset_constraints
    sentences += [
        f"split {split!r}: {reason.short_description}: {reason.description} "
        f"(required are {limits.min_examples_count} or more)"
        for reason in dataset.reason
    ]
    if anomalies.data_missing:
        sentences.append(f"split {split!r} has no images")
    return sentences
