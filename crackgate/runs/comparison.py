"""Two runs side by side: their differences, and whether their metrics are comparable."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from crackgate.config.configuration import flatten
from crackgate.contracts.evaluation import Estimate, MetricKey, MetricValue, find_metric
from crackgate.runs.details import find_data, trace_back
from crackgate.runs.history import History, Run, RunEntry
from crackgate.runs.lineage import Execution

# ImageExampleGen's parameters that decide the splits, with their names in the configuration.
_DECIDES_SPLITS = {
    "input_fingerprint": "fingerprint of the data folder",
    "classes": "classes",
    "output_config": "data.split",
    "group_by": "data.group_by",
    "min_side": "data.min_side",
    "max_pixels": "data.max_pixels",
    "max_bytes": "data.max_bytes",
    "code_digest": "code of ImageExampleGen",
}


class Pair(BaseModel):
    """A value of both runs; None if it is not recorded."""

    first: Any
    second: Any


class MetricPair(MetricKey):
    """A metric over all test images of both runs; `difference` is second - first, None unless comparable."""

    first: Estimate | None
    second: Estimate | None
    difference: float | None


class Splits(BaseModel):
    """Whether both runs split alike (None if one never split its images), and the settings that differ."""

    same: bool | None
    differing: list[str]


class RunComparison(BaseModel):
    """Two runs side by side.

    Attributes:
        data: Folder, fingerprint and counts of images.
        configuration: The fields that differ, for example "train.views"; None when one run has no summary.
        versions: Versions of crackgate and TFX, and the digests of component code that differ.
        seconds: Durations by component, "all" for the run; None for a cached or unreached component.
    """

    first: RunEntry
    second: RunEntry
    splits: Splits
    metrics: list[MetricPair]
    data: dict[str, Pair]
    configuration: dict[str, Pair] | None
    versions: dict[str, Pair]
    seconds: dict[str, Pair]


class RunFacts(BaseModel):
    """One run's side of a comparison.

    Attributes:
        metrics: Over all test images.
        data: As in `RunComparison`.
        splits: The settings that decide the splits; None if the run never split its images.
        configuration: By field; None without a summary.
        packages: Versions of crackgate and TFX.
        code: Digests of the components' code.
        seconds: As in `RunComparison`.
    """

    metrics: list[MetricValue]
    data: dict[str, Any]
    splits: dict[str, Any] | None
    configuration: dict[str, Any] | None
    packages: dict[str, str | None]
    code: dict[str, str]
    seconds: dict[str, float]


def read_facts(history: History, run: Run) -> RunFacts:
    """Gathers what a run has to be compared by."""
    maker = _maker_of_splits(history, run)
    return RunFacts(
        metrics=run.overall.metrics if run.overall else [],
        data=_data(history, run),
        splits=None if maker is None else {name: maker.properties.get(key) for key, name in _DECIDES_SPLITS.items()},
        configuration=None if run.summary is None else flatten(run.summary.config),
        packages=_packages(run),
        code=_code(run),
        seconds=_seconds(run),
    )


def compare(history: History, first: Run, second: Run) -> RunComparison:
    """Puts two runs of one workspace side by side."""
    a, b = read_facts(history, first), read_facts(history, second)
    splits = _compare_splits(a, b)
    known = a.configuration is not None and b.configuration is not None
    code = _differing(_paired(a.code, b.code))
    return RunComparison(
        first=history.describe(first),
        second=history.describe(second),
        splits=splits,
        metrics=_compare_metrics(a, b, comparable=splits.same is True),
        data=_paired(a.data, b.data),
        configuration=_differing(_paired(a.configuration or {}, b.configuration or {})) if known else None,
        versions=_paired(a.packages, b.packages)
        | {name: pair for name, pair in code.items() if None not in (pair.first, pair.second)},
        seconds=_paired(a.seconds, b.seconds),
    )


def _compare_splits(first: RunFacts, second: RunFacts) -> Splits:
    if first.splits is None or second.splits is None:
        return Splits(same=None, differing=[])
    # Two executions with equal properties split the same files alike.
    differing = list(_differing(_paired(first.splits, second.splits)))
    return Splits(same=not differing, differing=differing)


def _maker_of_splits(history: History, run: Run) -> Execution | None:
    execution = run.executions.get("ImageExampleGen")
    if execution is None or not execution.succeeded:
        return None
    return history.record.trace(execution)[-1]


def _compare_metrics(first: RunFacts, second: RunFacts, comparable: bool) -> list[MetricPair]:
    a, b = first.metrics, second.metrics
    pairs = []
    for metric, label in dict.fromkeys(value.key for value in a + b):
        one, other = find_metric(a, metric, label), find_metric(b, metric, label)
        difference = _difference(one, other) if comparable else None
        pairs.append(
            MetricPair(metric=metric, label=label, first=_estimate(one), second=_estimate(other), difference=difference)
        )
    return pairs


def _estimate(value: MetricValue | None) -> Estimate | None:
    """Drops the names, which the pair has."""
    return None if value is None else Estimate(value=value.value, low=value.low, high=value.high)


def _difference(first: Estimate | None, second: Estimate | None) -> float | None:
    if first is None or second is None or first.value is None or second.value is None:
        return None
    return second.value - first.value


def _data(history: History, run: Run) -> dict[str, Any]:
    data = find_data(trace_back(history, run))
    known: dict[str, Any] = {"folder": data.folder, "fingerprint": data.fingerprint} if data else {}
    if run.summary is None:
        return known
    images = run.summary.images
    counts = {f"{split} images": sum(by_class.values()) for split, by_class in images.splits.items()}
    return {
        "folder": run.summary.data,
        **known,
        "classes": ", ".join(run.summary.classes),
        "found": images.found,
        "ingested": images.ingested,
        "rejected": images.rejected_count,
        "groups": images.groups,
        **counts,
    }


def _packages(run: Run) -> dict[str, str | None]:
    """Versions of crackgate and of the TFX that made the artifacts, perhaps in earlier runs."""
    outputs = [made for execution in run.executions.values() for made in execution.outputs.values()]
    tfx = {artifact.properties.get("tfx_version") for artifacts in outputs for artifact in artifacts}
    return {
        "crackgate": run.summary.crackgate_version if run.summary else None,
        "TFX": ", ".join(sorted(filter(None, tfx))) or None,
    }


def _code(run: Run) -> dict[str, str]:
    digests = {}
    for component, execution in run.executions.items():
        # The Trainer holds all parameters in one property.
        parameters = json.loads(execution.properties.get("custom_config") or "null") or execution.properties
        if "code_digest" in parameters:
            digests[f"code of {component}"] = parameters["code_digest"]
    return digests


def _seconds(run: Run) -> dict[str, float]:
    whole = {"all": run.summary.seconds} if run.summary else {}
    ended = [execution for execution in run.executions.values() if execution.state in ("complete", "failed")]
    in_order = sorted(ended, key=lambda execution: execution.id)
    return whole | {execution.component: execution.seconds for execution in in_order}


def _paired(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Pair]:
    return {name: Pair(first=first.get(name), second=second.get(name)) for name in {**first, **second}}


def _differing(pairs: dict[str, Pair]) -> dict[str, Pair]:
    return {name: pair for name, pair in pairs.items() if pair.first != pair.second}
