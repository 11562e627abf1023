"""The work of ServingCheck."""

import base64
import json
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.evaluator.constants import ARTIFACT_PROPERTY_BLESSED_KEY
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.serving_check import model_server, stored_network
from components.serving_check.driver import MEASURE_AGAIN
from components.serving_check.probe_process import take_process
from components.shared.json_value import write_json
from components.shared.local_artifact import local_path
from components.shared.parameters import OPTIONS, Artifacts, Properties
from crackgate.config.serving_check import ServingCheckOptions
from crackgate.contracts import stored_example
from crackgate.contracts.card import read_card
from crackgate.contracts.model_files import (
    CARD_FILE,
    MODEL_VERSION_FILE,
    REFERENCE_FILE,
    UNFAMILIARITY_TOLERANCE,
    WARMUP_FILE,
)
from crackgate.contracts.serving_findings import ServingCheckResult, ServingFindings
from crackgate.contracts.signatures import SIGNATURE_INPUTS

# Images that are sent one by one.
_SINGLE = 4
_MANY = 32
_MEASURED_CALLS = 50
_MEASURE_SECONDS = 1.5
# A machine that is busy for a moment is no fault of the model.
_TRIES = 3
_SHOWN_OF_STDERR = 600
LATENCY = "latency limit"


@dataclass
class _ProbeResult:
    """The probe's result; `cut_short` holds the check that a timeout or a kill ended, as for lack of memory.

    `outputs` are the SavedModel's for the reference images: `scores`, and `unfamiliarity` if it gives that.
    """

    checks: list[ServingCheckResult]
    metrics: dict[str, float]
    outputs: dict[str, Any] = field(default_factory=dict)
    cut_short: list[ServingCheckResult] = field(default_factory=list)


class ServingCheckExecutor(base_executor.BaseExecutor):
    """Runs the probe, holds its metrics against the limits, and blesses or refuses the model."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties) -> None:  # noqa: N802
        """Writes findings and blessing; a refused model is an outcome, not an error."""
        self._log_startup(input_dict, output_dict, exec_properties)
        evaluated = artifact_utils.get_single_instance(input_dict["model_blessing"])
        if evaluated.get_int_custom_property(ARTIFACT_PROPERTY_BLESSED_KEY) == 1:
            artifact = artifact_utils.get_single_instance(input_dict["model"])
            model = local_path(path_utils.serving_model_path(artifact.uri))
            reference = local_path(artifact_utils.get_single_uri(input_dict["model_run"])) / REFERENCE_FILE
            limits = ServingCheckOptions.model_validate_json(exec_properties[OPTIONS]).model_dump()
            expected = {name: exec_properties[name] for name in ("classes", "positive_classes")}
            findings = check_serving(model, reference, limits | expected)
        else:
            findings = ServingFindings(passed=False)
        write_json(artifact_utils.get_single_instance(output_dict["findings"]), findings.model_dump(mode="json"))
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        _bless(blessing, findings.passed)
        if findings.measure_again:
            blessing.set_int_custom_property(MEASURE_AGAIN, artifact.id)


def check_serving(model: Path, reference: Path, limits: dict[str, Any]) -> ServingFindings:
    """Sends the model all requests, and again when it was only too slow.

    `reference` holds examples with recorded scores; `limits` are the component's parameters by name.
    """
    for _ in range(_TRIES):
        result = _probe(model, reference, limits)
        too_much = _over_limits(result.metrics, limits)
        too_slow = any(check.name == LATENCY for check in too_much)
        if not too_slow or result.cut_short or _any_failed(result.checks):
            break
    too_much += result.cut_short
    measure_again = bool(too_much) and not _any_failed(result.checks)
    checks = [*result.checks, *too_much]
    if not _any_failed(checks):
        checks.append(stored_network.check(model, reference, result.outputs))
        checks += model_server.check(model, reference, SIGNATURE_INPUTS, limits)
    advice = "; the next run measures anew" if measure_again else ""
    reasons = [f"{check.name}: {check.detail}{advice}" for check in checks if check.outcome == "failed"]
    return ServingFindings(
        passed=not reasons,
        measure_again=measure_again,
        reasons=reasons,
        checks=checks,
        metrics={name: round(value, 3) for name, value in result.metrics.items()},
    )


def _probe(model: Path, reference: Path, limits: dict[str, Any]) -> _ProbeResult:
    """Runs the probe; an incomplete run adds a failed check."""
    try:
        plan = _plan(model, reference, limits)
    # The model's files may be missing or damaged.
    except (OSError, ValueError) as error:
        return _ProbeResult([_failed("files of the model", f"{type(error).__name__}: {error}")], {})
    ended = cut_short = ""
    with tempfile.TemporaryDirectory() as folder, take_process() as process:
        result_file = Path(folder) / "result.json"
        try:
            code, said = process.work({**plan, "result": str(result_file)}, limits["max_seconds"])
        except subprocess.TimeoutExpired:
            cut_short = f"no end after {limits['max_seconds']:g} s (serving_check.max_seconds)"
        else:
            if code == -signal.SIGKILL:
                cut_short = _say_end(code, said)
            elif code:
                ended = _say_end(code, said)
        written: dict[str, Any] = {"checks": [], "metrics": {}, "outputs": {}, "asking": "start"}
        if result_file.is_file():
            written = json.loads(result_file.read_text(encoding="utf-8"))
    question = written["asking"] or "end"
    checks = [ServingCheckResult.model_validate(check) for check in written["checks"]]
    checks += [_failed(question, ended)] if ended else []
    return _ProbeResult(
        checks, written["metrics"], written["outputs"], [_failed(question, cut_short)] if cut_short else []
    )


def _plan(model: Path, reference: Path, limits: dict[str, Any]) -> dict[str, Any]:
    if not reference.is_file():
        raise FileNotFoundError(f"no {reference}: a Trainer with trainer.run_fn.run_fn writes it beside the model")
    card = read_card(model)
    expected = {name: limits[name] for name in ("classes", "positive_classes")}
    said = {"classes": card.classes, "positive_classes": list(card.positive_classes)}
    if said != expected:
        raise ValueError(f"{CARD_FILE} says {said}; the run has {expected}")
    outputs = {
        "label": "string (N)",
        "probability": "float32 (N)",
        "scores": f"float32 (N, {len(limits['classes'])})",
        "model_version": "string (N)",
        "error": "string (N)",
        **({"is_positive": "bool (N)"} if limits["positive_classes"] else {}),
        **({"unfamiliarity": "float32 (N)"} if card.familiarity else {}),
    }
    return {
        "model": str(model),
        "reference": str(reference),
        "image": stored_example.ENCODED,
        "scores": stored_example.REFERENCE_SCORES,
        "unfamiliarity": stored_example.REFERENCE_UNFAMILIARITY if card.familiarity else None,
        "classes": limits["classes"],
        "positive_classes": limits["positive_classes"],
        "inputs": SIGNATURE_INPUTS,
        "outputs": outputs,
        "tolerance": limits["score_tolerance"],
        "unfamiliarity_tolerance": UNFAMILIARITY_TOLERANCE,
        "version_file": str(MODEL_VERSION_FILE),
        "warmup": _read_warmup(model / WARMUP_FILE),
        "warmup_file": str(WARMUP_FILE),
        "single": _SINGLE,
        "many": _MANY,
        "measured_calls": _MEASURED_CALLS,
        "measure_seconds": _MEASURE_SECONDS,
    }


def _read_warmup(file: Path) -> list[dict[str, Any]]:
    """The requests as JSON: the replaying process lacks the protocol's package."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    if not file.is_file():
        return []
    requests = []
    for record in tf.data.TFRecordDataset([str(file)]).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        for name, tensor in request.inputs.items():
            values = [base64.b64encode(value).decode() for value in tensor.string_val]
            requests.append({"signature": request.model_spec.signature_name, "input": name, "values": values})
    return requests


def _over_limits(metrics: dict[str, float], limits: dict[str, Any]) -> list[ServingCheckResult]:
    said = (
        (LATENCY, "p50 of one image", "p50_ms_one", "max_p50_ms", "ms"),
        (LATENCY, "p99 of one image", "p99_ms_one", "max_p99_ms", "ms"),
        ("memory limit", "most resident memory", "peak_memory_mib", "max_memory_mib", "MiB"),
    )
    return [
        _failed(
            name,
            f"{what} {metrics[metric]:.1f} {unit}; allowed are {limits[limit]:g} {unit} (serving_check.{limit})",
        )
        for name, what, metric, limit, unit in said
        if metric in metrics and metrics[metric] > limits[limit]
    ]


def _say_end(code: int, said: bytes) -> str:
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    lines = said.decode("utf-8", "backslashreplace").strip().splitlines()
    # The many frames of a native crash say nothing.
    words = "\n".join(line for line in lines if not line.startswith("    @"))[-_SHOWN_OF_STDERR:]
    return f"the process ended with {how}: {words}"


def _any_failed(checks: list[ServingCheckResult]) -> bool:
    return any(check.outcome == "failed" for check in checks)


def _failed(name: str, detail: str) -> ServingCheckResult:
    return ServingCheckResult(name=name, outcome="failed", detail=detail)


def _bless(blessing: types.Artifact, passed: bool) -> None:
    """Sets the properties that TFX's InfraValidator sets."""
    fileio.makedirs(blessing.uri)
    with fileio.open(os.path.join(blessing.uri, "INFRA_BLESSED" if passed else "INFRA_NOT_BLESSED"), "wb") as mark:
        mark.write(b"")
    blessing.set_int_custom_property("blessed", int(passed))
