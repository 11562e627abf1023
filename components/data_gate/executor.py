"""The work of DataGate."""

import os

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.shared.json_value import write_json
from components.shared.outliers import find_outside
from components.shared.parameters import OPTIONS, Artifacts, Properties
from crackgate.config.gate import GateOptions
from crackgate.contracts.account import Account
from crackgate.contracts.errors import DataRejectedError
from crackgate.contracts.scale_findings import ScaleFindings
from crackgate.contracts.stored_example import TEST_SPLIT
from crackgate.gate.reach import find_unreachable
from crackgate.gate.rules import gate_rules

# As TFX's ExampleValidator names it, which would import TFDV and TensorFlow.
_ANOMALIES_FILE = "SchemaDiff.pb"
# Anomalies that the images outside a range explain.
_OUT_OF_RANGE = {
    anomalies_pb2.AnomalyInfo.INT_TYPE_SMALL_INT,
    anomalies_pb2.AnomalyInfo.INT_TYPE_BIG_INT,
    anomalies_pb2.AnomalyInfo.FLOAT_TYPE_SMALL_FLOAT,
    anomalies_pb2.AnomalyInfo.FLOAT_TYPE_BIG_FLOAT,
}


class DataGateExecutor(base_executor.BaseExecutor):
    """Turns anomalies, a gate that cannot be passed, and images that the model would refuse into sentences."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties) -> None:  # noqa: N802
        """Raises DataRejectedError for any anomaly, too small a test split, and images out of scale.

        Raises ValueError without a test split, or one of other classes.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        anomalies = artifact_utils.get_single_instance(input_dict["anomalies"])
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        findings = []
        for split in artifact_utils.decode_split_names(anomalies.split_names):
            file = os.path.join(artifact_utils.get_split_uri([anomalies], split), _ANOMALIES_FILE)
            with fileio.open(file, "rb") as content:
                found = anomalies_pb2.Anomalies.FromString(content.read())
            findings += describe(split, found, examples)
        account = Account.model_validate(artifact_utils.get_single_instance(input_dict["account"]).read())
        _check_splits(account, exec_properties["classes"])
        options = GateOptions.model_validate_json(exec_properties[OPTIONS])
        positive_classes: list[str] = exec_properties["positive_classes"]
        rules = gate_rules(exec_properties["classes"], positive_classes, options)
        findings += find_unreachable(rules, account.splits, positive_classes, options.confidence)
        findings += ScaleFindings.model_validate(
            artifact_utils.get_single_instance(input_dict["scale"]).read()
        ).faults()
        if findings:
            raise DataRejectedError(findings)
        write_json(artifact_utils.get_single_instance(output_dict["findings"]), findings)


def _check_splits(account: Account, classes: list[str]) -> None:
    if TEST_SPLIT not in account.splits:
        raise ValueError(
            f"account: received one of the splits {', '.join(account.splits) or 'none'}; DataGate needs {TEST_SPLIT}, "
            "which judges the model: let ImageExampleGen make one, or do without DataGate"
        )
    if account.splits[TEST_SPLIT].keys() != set(classes):
        raise ValueError(
            f"classes: received {', '.join(classes)}; the account has {', '.join(account.splits[TEST_SPLIT])}: give "
            "the same to all components"
        )


def describe(split: str, anomalies: anomalies_pb2.Anomalies, examples: types.Artifact) -> list[str]:
    """One sentence for each anomaly of `split`; it counts and names the images outside a range, and no others."""
    new = {name for name, information in anomalies.anomaly_info.items() if _is_new(information)}
    sentences = []
    if new:
        sentences.append(
            f"split {split!r}: the schema does not have {', '.join(sorted(new))}: give StatisticsGen this schema and "
            "StatsOptions(experimental_filter_read_paths=True), or add these features to the schema"
        )
    for name, information in sorted(anomalies.anomaly_info.items()):
        if name in new:
            continue
        outside = _describe_outside(split, name, anomalies.baseline, examples)
        sentences += outside + [
            f"split {split!r}, {name}: {reason.short_description}: {reason.description}"
            for reason in information.reason
            if not outside or reason.type not in _OUT_OF_RANGE
        ]
    limits = anomalies.baseline.dataset_constraints
    sentences += [
        f"split {split!r}: {reason.short_description}: {reason.description} "
        f"(required are {limits.min_examples_count} or more)"
        for reason in anomalies.dataset_anomaly_info.reason
    ]
    if anomalies.data_missing:
        sentences.append(f"split {split!r} has no images")
    return sentences


def _is_new(information: anomalies_pb2.AnomalyInfo) -> bool:
    return any(reason.type == anomalies_pb2.AnomalyInfo.SCHEMA_NEW_COLUMN for reason in information.reason)


def _describe_outside(split: str, name: str, schema: schema_pb2.Schema, examples: types.Artifact) -> list[str]:
    bounds = _range_of(schema, name)
    outside = bounds and find_outside(examples, split, name, *bounds)
    if not bounds or not outside or not outside.count:
        return []
    named = "the farthest are" if outside.count > 1 else "it is"
    option = f"schema.{name.rpartition('/')[2]}"
    return [
        f"split {split!r}, {name}: {outside.count} of {outside.of} images lie outside {bounds[0]:g} to {bounds[1]:g} "
        f"({option}); {named} {outside.farthest}; repair or remove them, or widen {option}"
    ]


def _range_of(schema: schema_pb2.Schema, name: str) -> tuple[float, float] | None:
    for feature in schema.feature:
        kind = feature.WhichOneof("domain_info")
        if feature.name == name and kind in ("float_domain", "int_domain"):
            domain = getattr(feature, kind)
            return float(domain.min), float(domain.max)
    return None
