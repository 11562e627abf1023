"""ServingCheck on real models, both outcomes: what serves is blessed, all else is refused with its reason."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf
from tfx import v1 as tfx

from components.serving_check import model_server, probe, probe_process
from components.serving_check.component import ServingCheck
from components.serving_check.executor import _plan, check_serving
from components.serving_check.probe import Probe
from components.serving_check.probe_process import started_ahead
from crackgate.config.serving_check import ServingCheckOptions
from crackgate.contracts import stored_example
from crackgate.contracts.card import read_card
from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.model_files import (
    CARD_FILE,
    MODEL_VERSION_FILE,
    NETWORK_FILES,
    REFERENCE_FILE,
    WARMUP_FILE,
)
from crackgate.contracts.signatures import SIGNATURE_INPUTS
from crackgate.model.calibration import Calibration
from crackgate.model.decision import Decision
from crackgate.model.familiarity import Familiarity, fit_familiarity
from crackgate.model.stored_network import read_network
from crackgate.source_digest import PACKAGES
from tests.helpers.killed_probes import every_probe_killed
from trainer.export.reference import write_reference
from trainer.export.signatures import export_classifier
from trainer.export.stored_network import write_stored_network
from trainer.export.warmup import write_warmup_requests
from trainer.input_pipeline import read_images
from trainer.network.classifier import assemble
from trainer.network.texture import texture_of

if TYPE_CHECKING:
    from conftest import Bench

CLASSES = ["Negative", "Positive"]
SIZE = 32
LIMITS: dict[str, Any] = {
    "classes": CLASSES,
    "positive_classes": ["Positive"],
    "score_tolerance": 1e-5,
    "max_p50_ms": 60_000.0,
    "max_p99_ms": 60_000.0,
    "max_memory_mib": 64_000.0,
    "max_seconds": 300.0,
}
Answer = dict[str, tf.Tensor]


@dataclass(frozen=True)
class Trained:
    """A released model as the Trainer leaves it."""

    model: Path
    model_run: Path
    classifier: keras.Model
    familiarity: Familiarity

    @property
    def reference(self) -> Path:
        return self.model_run / REFERENCE_FILE

    def copy(self, folder: Path) -> Path:
        """The model again, to be changed."""
        return Path(shutil.copytree(self.model, folder / "copy"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(folder / "stored.gz"), "GZIP") as writer:
        for number in range(12):
            pixels = rng.integers(0, 256, (40, 50, 3), np.uint8) // (1 + number % 3)
            encoded = (tf.io.encode_jpeg(pixels) if number % 2 else tf.io.encode_png(pixels)).numpy()
            feature = {
                stored_example.ENCODED: tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
                stored_example.CLASS_LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[number % 2])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    keras.utils.set_random_seed(0)
    images = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    backbone = keras.Model(images, keras.layers.Conv2D(8, 3, 2, activation="relu")(x))
    head = keras.Sequential([keras.Input((8,)), keras.layers.Dense(len(CLASSES), name="logits")])
    classifier = assemble(backbone, head)
    patterns = [str(folder / "*.gz")]
    stored = np.concatenate([pixels for pixels, _ in read_images(patterns, SIZE, 12)])
    textures = keras.Model(images, texture_of(backbone)).predict_on_batch(stored)[:, 0, 0]
    familiarity = fit_familiarity(textures[:6], textures[6:])
    assert familiarity is not None
    export(classifier, familiarity, folder / "model" / "Format-Serving", patterns)
    (folder / "run").mkdir()
    write_reference(classifier, CALIBRATION, SIZE, patterns, folder / "run", backbone, familiarity)
    return Trained(folder / "model" / "Format-Serving", folder / "run", classifier, familiarity)


CALIBRATION = Calibration(0.4, (0.1, -0.1))


def export(classifier: keras.Model, familiarity: Familiarity, folder: Path, patterns: list[str]) -> None:
    _, backbone, _, head = classifier.layers
    decision = Decision((1,), float(np.float32(0.5)))
    served = export_classifier(
        classifier,
        CLASSES,
        SIZE,
        folder,
        CALIBRATION,
        decision,
        backbone=backbone,
        head=head,
        familiarity=familiarity,
    )
    write_warmup_requests(SIZE, None, patterns, folder)
    write_stored_network(served, SIZE, patterns, folder)


@pytest.fixture
def perturbed(trained: Trained, tmp_path: Path) -> Path:
    """The same classifier, with weights that changed a little after training."""
    weights = trained.classifier.get_weights()
    trained.classifier.set_weights([weight + 0.01 for weight in weights])
    model = tmp_path / "perturbed" / "Format-Serving"
    export(trained.classifier, trained.familiarity, model, [str(trained.model_run.parent / "*.gz")])
    trained.classifier.set_weights(weights)
    return model


def _check(bench: "Bench", model: Path, trained: Trained, blessed: int = 1, **limits: Any) -> Any:
    """Runs the component and returns its findings, as JSON."""
    artifacts = tfx.types.standard_artifacts
    imported = {
        "model": tfx.dsl.Importer(str(model.parent), artifacts.Model).with_id("Model"),
        "model_run": tfx.dsl.Importer(str(trained.model_run), artifacts.ModelRun).with_id("ModelRun"),
        "model_blessing": tfx.dsl.Importer(
            str(trained.model_run), artifacts.ModelBlessing, custom_properties={"blessed": blessed}
        ).with_id("Blessing"),
    }
    check = ServingCheck(
        **{name: node.outputs["result"] for name, node in imported.items()},
        classes=LIMITS["classes"],
        positive_classes=LIMITS["positive_classes"],
        options=ServingCheckOptions(**{name: {**LIMITS, **limits}[name] for name in ServingCheckOptions.model_fields}),
    )
    bench.run(*imported.values(), check)
    return bench.json_output("ServingCheck", "findings")


def test_a_model_that_serves_as_it_was_trained_is_blessed_once_the_machine_lets_it(
    trained: Trained, new_bench: Callable[[], "Bench"]
) -> None:
    bench = new_bench()
    with every_probe_killed():
        refused = _check(bench, trained.model, trained)
    assert not refused["passed"] and refused["measure_again"]
    (reason,) = refused["reasons"]
    assert "killed by SIGKILL" in reason and reason.endswith("the next run measures anew")
    assert bench.output("ServingCheck", "blessing").get_int_custom_property("blessed") == 0

    with started_ahead() as start:
        start()
        (waiting,) = _probes(os.getpid())
        findings = _check(bench, trained.model, trained)
        assert not _lives(waiting), "the check took another process than the one that waited for it"
    assert findings["passed"] and not findings["reasons"], findings
    outcomes = {check["name"]: check["outcome"] for check in findings["checks"]}
    assert outcomes.pop("TensorFlow Serving", "skipped") == "skipped" or shutil.which("tensorflow_model_server")
    assert len(outcomes) >= 13 and "stored network" in outcomes and set(outcomes.values()) == {"passed"}
    metrics = findings["metrics"]
    assert 0 < metrics["p50_ms_one"] <= metrics["p99_ms_one"] and metrics["p50_ms_many"] > 0
    assert 100 < metrics["peak_memory_mib"] < 10_000
    blessing = bench.output("ServingCheck", "blessing")
    assert blessing.get_int_custom_property("blessed") == 1 and (Path(blessing.uri) / "INFRA_BLESSED").is_file()
    assert _check(bench, trained.model, trained) == findings
    assert bench.states("ServingCheck") == ["COMPLETE", "COMPLETE", "CACHED"]


def _probes(parent: int) -> list[psutil.Process]:
    children = psutil.Process(parent).children()
    return [child for child in children if any(part.endswith("probe.py") for part in child.cmdline())]


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_process_that_nobody_needs_is_ended() -> None:
    with started_ahead() as start:
        start()
        (waiting,) = _probes(os.getpid())
    assert not waiting.is_running()


def test_a_process_that_was_killed_while_it_waited_is_replaced() -> None:
    with started_ahead() as start:
        start()
        (waiting,) = _probes(os.getpid())
        waiting.kill()
        while _lives(waiting):
            time.sleep(0.01)
        with probe_process.take_process() as taken:
            assert not taken.has_ended and _lives(*_probes(os.getpid()))


def test_a_waiting_process_ends_after_the_one_that_started_it_was_killed() -> None:
    code = f"from {probe_process.__name__} import ProbeProcess as p; waiting = p(); print('up'); input()"
    command = [sys.executable, "-u", "-c", code]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"up\n"
        (waiting,) = _probes(parent.pid)
        parent.kill()
    ends = time.monotonic() + 120
    while _lives(waiting):
        assert time.monotonic() < ends, "it still waits"
        time.sleep(0.1)


def test_the_process_has_neither_keras_nor_our_code() -> None:
    program = [str(probe.__file__), *PACKAGES]
    ended = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", *program], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.stderr.decode().splitlines()}
    assert "tensorflow" in imported and not imported & {"keras", "tf_keras", *PACKAGES}


def test_changed_scores_and_too_much_memory_are_refused_with_the_metrics(
    trained: Trained, perturbed: Path, new_bench: Callable[[], "Bench"]
) -> None:
    bench = new_bench()
    findings = _check(bench, perturbed, trained, max_memory_mib=10.0)
    assert not findings["passed"]
    reasons = "\n".join(findings["reasons"])
    assert "scores of stored examples: scores are up to" in reasons and "allowed are 1e-05" in reasons
    assert "memory limit: most resident memory" in reasons and "allowed are 10 MiB" in reasons
    # What is the model's own fault stays so.
    assert not findings["measure_again"] and "anew" not in reasons
    assert _check(bench, perturbed, trained, max_memory_mib=10.0) == findings
    assert bench.states("ServingCheck") == ["COMPLETE", "CACHED"]
    blessing = bench.output("ServingCheck", "blessing")
    assert blessing.get_int_custom_property("blessed") == 0 and (Path(blessing.uri) / "INFRA_NOT_BLESSED").is_file()

    # What the Evaluator has refused is not even looked at.
    assert _check(bench, perturbed, trained, blessed=0)["checks"] == []
    assert bench.output("ServingCheck", "blessing").get_int_custom_property("blessed") == 0


def _ask(model: Path, trained: Trained, tmp_path: Path, **limits: Any) -> dict[str, str]:
    """The probe's questions that failed, in this process: seconds less than in one of its own."""
    plan = _plan(model, trained.reference, {**LIMITS, **limits}) | {"measured_calls": 3}
    Probe(plan, tmp_path / "result.json").ask_everything()
    checks = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["checks"]
    return {check["name"]: check["detail"] for check in checks if check["outcome"] == "failed"}


class Foreign(tf.Module):
    """Another model behind the same signatures: it answers as ours, but for what `spoil` makes of the answer."""

    def __init__(self, model: Path, spoil: Callable[[Answer], Answer], before: Callable[[tf.Tensor], tf.Tensor]):
        super().__init__()
        self._loaded = tf.saved_model.load(str(model))
        self._spoil, self._before = spoil, before

    def export(self, original: Path, folder: Path) -> Path:
        signatures = {
            name: tf.function(
                lambda rows, name=name, argument=argument: self._spoil(
                    dict(self._loaded.signatures[name](**{argument: self._before(rows)}))
                )
            ).get_concrete_function(tf.TensorSpec([None], tf.string, name=argument))
            for name, argument in SIGNATURE_INPUTS.items()
        }
        tf.saved_model.save(self, str(folder), signatures=signatures)
        for extra in (CARD_FILE, WARMUP_FILE, MODEL_VERSION_FILE):
            (folder / extra).parent.mkdir(exist_ok=True)
            shutil.copy(original / extra, folder / extra)
        return folder


def foreign(
    trained: Trained,
    folder: Path,
    spoil: Callable[[Answer], Answer] = lambda answer: answer,
    before: Callable[[tf.Tensor], tf.Tensor] = lambda rows: rows,
) -> Path:
    return Foreign(trained.model, spoil, before).export(trained.model, folder / "foreign")


def test_another_model_behind_the_same_signatures_passes(trained: Trained, tmp_path: Path) -> None:
    assert _ask(foreign(trained, tmp_path), trained, tmp_path) == {}


def _without(name: str) -> Callable[[Answer], Answer]:
    return lambda answer: {key: value for key, value in answer.items() if key != name}


@pytest.mark.parametrize(
    ("spoil", "question", "said"),
    [
        (_without("error"), "signatures", "error: nothing instead of string (N)"),
        (
            lambda answer: {**answer, "scores": tf.cast(answer["scores"], tf.float64)},
            "signatures",
            "scores: float64 (N, 2) instead of float32 (N, 2)",
        ),
        pytest.param(
            lambda answer: {**answer, "more": answer["label"]}, "signatures", "also 'more'", marks=pytest.mark.serving
        ),
        (
            lambda answer: {**answer, "scores": tf.reverse(answer["scores"], [1])},
            "scores of image bytes",
            "from those recorded at training",
        ),
        (
            lambda answer: {**answer, "unfamiliarity": answer["unfamiliarity"] + 0.01},
            "scores of image bytes",
            "unfamiliarity is up to 0.01 from what was recorded at training; allowed are 0.001",
        ),
        pytest.param(
            lambda answer: {**answer, "unfamiliarity": tf.maximum(answer["unfamiliarity"], 1e-6)},
            "damaged images",
            "gives damaged images an unfamiliarity",
            marks=pytest.mark.serving,
        ),
        (_without("unfamiliarity"), "signatures", "unfamiliarity: nothing instead of float32 (N)"),
        pytest.param(
            lambda answer: {**answer, "probability": answer["probability"] / 2},
            "scores of stored examples",
            "probability is not the label's score",
            marks=pytest.mark.serving,
        ),
        pytest.param(
            lambda answer: {**answer, "is_positive": ~answer["is_positive"]},
            "scores of stored examples",
            "contradict each other",
            marks=pytest.mark.serving,
        ),
        (
            lambda answer: {**answer, "error": tf.strings.join([answer["error"], "?"])},
            "scores of stored examples",
            "refuses good images",
        ),
        pytest.param(
            lambda answer: {**answer, "model_version": tf.strings.join([answer["label"], "7"])},
            "model version",
            "says 'unreleased'",
            marks=pytest.mark.serving,
        ),
    ],
)
def test_a_wrong_answer_is_found_and_named(
    spoil: Callable[[Answer], Answer], question: str, said: str, trained: Trained, tmp_path: Path
) -> None:
    failed = _ask(foreign(trained, tmp_path, spoil), trained, tmp_path)
    assert said in failed.get(question, ""), failed


def test_a_model_that_one_damaged_image_brings_down_is_found(trained: Trained, tmp_path: Path) -> None:
    def need_images(rows: tf.Tensor) -> tf.Tensor:
        long = tf.debugging.assert_greater(tf.strings.length(rows), 20)
        with tf.control_dependencies([long]):
            return tf.identity(rows)

    failed = _ask(foreign(trained, tmp_path, before=need_images), trained, tmp_path)
    assert failed.keys() == {"damaged images"} and "InvalidArgumentError" in failed["damaged images"]


def test_a_model_that_takes_no_empty_batch_is_found(trained: Trained, tmp_path: Path) -> None:
    def need_one(rows: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([tf.debugging.assert_greater(tf.shape(rows)[0], 0)]):
            return tf.identity(rows)

    assert _ask(foreign(trained, tmp_path, before=need_one), trained, tmp_path).keys() == {"empty batch"}


def test_missing_and_foreign_warmup_requests_are_found(trained: Trained, tmp_path: Path) -> None:
    model = trained.copy(tmp_path)
    (model / WARMUP_FILE).unlink()
    failed = _ask(model, trained, tmp_path)
    assert failed.keys() == {"warm-up requests"} and "first callers would wait" in failed["warm-up requests"]


def test_a_model_that_cannot_be_loaded_is_found(trained: Trained, tmp_path: Path) -> None:
    model = trained.copy(tmp_path)
    graph = model / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:1000])
    assert _ask(model, trained, tmp_path).keys() == {"it loads"}


def test_files_that_contradict_the_run_are_named_without_asking(trained: Trained, tmp_path: Path) -> None:
    model = trained.copy(tmp_path)
    other = {**LIMITS, "classes": ["a", "b"], "positive_classes": ["b"]}
    (reason,) = check_serving(model, trained.reference, other).reasons
    assert "Negative" in reason and "'a'" in reason
    (model / CARD_FILE).unlink()
    (reason,) = check_serving(model, trained.reference, LIMITS).reasons
    assert "classifier.json" in reason


@pytest.mark.serving
def test_a_model_that_needs_our_code_is_refused(trained: Trained, tmp_path: Path) -> None:
    def ours(rows: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(lambda values: values, [rows], tf.string), [None])

    findings = check_serving(foreign(trained, tmp_path, before=ours), trained.reference, LIMITS)
    assert not findings.passed and "pyfunc" in findings.reasons[0]


@pytest.mark.serving
def test_a_model_that_crashes_is_refused_with_what_it_said(trained: Trained, tmp_path: Path) -> None:
    def crash(rows: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([tf.raw_ops.Abort(error_msg="out of luck", exit_without_error=False)]):
            return tf.identity(rows)

    findings = check_serving(foreign(trained, tmp_path, before=crash), trained.reference, LIMITS)
    (reason,) = findings.reasons
    assert reason.startswith("both signatures at once: the process ended with killed by SIGABRT")
    assert "out of luck" in reason


@pytest.mark.serving
def test_a_model_that_hangs_is_stopped(trained: Trained, tmp_path: Path) -> None:
    def hang(rows: tf.Tensor) -> tf.Tensor:
        turns = tf.while_loop(lambda turn: turn >= 0, lambda turn: (turn + 1) % 1000, [tf.constant(0)])
        with tf.control_dependencies(turns):
            return tf.identity(rows)

    findings = check_serving(
        foreign(trained, tmp_path, before=hang), trained.reference, {**LIMITS, "max_seconds": 60.0}
    )
    assert findings.reasons == [
        "both signatures at once: no end after 60 s (serving_check.max_seconds); the next run measures anew"
    ]
    assert findings.measure_again


@pytest.mark.serving
def test_a_model_that_is_too_slow_is_refused_after_three_tries(trained: Trained) -> None:
    findings = check_serving(trained.model, trained.reference, {**LIMITS, "max_p50_ms": 0.001, "max_p99_ms": 0.002})
    assert [reason.partition(":")[0] for reason in findings.reasons] == ["latency limit"] * 2
    assert "allowed are 0.001 ms (serving_check.max_p50_ms); the next run measures anew" in findings.reasons[0]
    assert findings.measure_again


def test_a_stored_network_that_is_another_one_is_refused(trained: Trained, perturbed: Path, tmp_path: Path) -> None:
    model = trained.copy(tmp_path)
    for name in NETWORK_FILES:
        shutil.copyfile(perturbed / name, model / name)
    findings = check_serving(model, trained.reference, LIMITS)
    (reason,) = findings.reasons
    assert reason.startswith("stored network: its scores differ from TensorFlow's by ") and "1e-06 is allowed" in reason
    assert not findings.passed and not findings.measure_again
    # It agrees with itself, so that only the SavedModel shows that it is another one.
    read_network(model)


def test_a_model_without_a_stored_network_serves_too(trained: Trained, tmp_path: Path) -> None:
    model = trained.copy(tmp_path)
    for name in NETWORK_FILES:
        (model / name).unlink()
    findings = check_serving(model, trained.reference, LIMITS)
    assert findings.passed
    assert ("stored network", "skipped") in [(check.name, check.outcome) for check in findings.checks]


def test_stored_images_may_have_more_bytes_than_their_files_had(trained: Trained, tmp_path: Path) -> None:
    model = trained.copy(tmp_path)
    read_card(model).model_copy(update={"limits": ImageLimits(max_bytes=1000)}).write(model)
    findings = check_serving(model, trained.reference, LIMITS)
    assert findings.reasons == [] and findings.passed


def test_a_damaged_stored_network_is_refused(trained: Trained, tmp_path: Path) -> None:
    model = trained.copy(tmp_path)
    (model / NETWORK_FILES[0]).write_bytes(b"<net>")
    (reason,) = check_serving(model, trained.reference, LIMITS).reasons
    assert reason.startswith("stored network: ")


@pytest.mark.serving
def test_the_same_requests_go_through_a_model_server_where_there_is_one(
    trained: Trained, perturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which(model_server.BINARY):
        binary = tmp_path / "bin" / model_server.BINARY
        binary.parent.mkdir()
        stand_in = Path(__file__).parents[2] / "helpers" / "model_server_stand_in.py"
        binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in}" "$@"\n')
        binary.chmod(0o755)
        monkeypatch.setenv("PATH", str(binary.parent), prepend=os.pathsep)
    checks = model_server.check(trained.model, trained.reference, SIGNATURE_INPUTS, LIMITS)
    assert [(check.name, check.outcome) for check in checks] == [
        ("TensorFlow Serving, REST", "passed"),
        ("TensorFlow Serving, gRPC", "passed"),
    ], checks
    refused = model_server.check(perturbed, trained.reference, SIGNATURE_INPUTS, LIMITS)
    assert all("from those recorded at training" in check.detail for check in refused)


@pytest.mark.serving
def test_a_model_server_that_ends_at_once_is_told_with_what_it_said(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / model_server.BINARY
    binary.write_text("#!/bin/sh\necho no such flag; exit 3\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (check,) = model_server.check(trained.model, trained.reference, SIGNATURE_INPUTS, LIMITS)
    assert check.outcome == "failed" and "exit code 3: no such flag" in check.detail
