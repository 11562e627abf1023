"""`crackgate gate` on models that were made elsewhere."""

import io
import json
import shlex
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from rich.console import Console

from crackgate.config.configuration import Config, ConfigError, load_config
from crackgate.contracts import stored_example
from crackgate.contracts.evaluation import Outcome
from crackgate.contracts.model_files import CARD_FILE
from crackgate.contracts.verdict import Verdict
from crackgate.runs.summary import Summary
from crackgate.runs.workspace import Workspace
from pipeline.gate_run import judge_model
from pipeline.request import RunRequest
from tests.helpers.toy_release import export_toy
from trainer.export.training_digests import write_training_digests

# TFX's own, laid at our door because we call it.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

CLASSES = ["Negative", "Positive"]


class Elsewhere(tf.Module):
    """Sure of the class that stands in the example, or always of the same one. It gives scores only."""

    def __init__(self, always: str = ""):
        super().__init__()
        self.always = always

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serving_default(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(examples, {stored_example.CLASS_TEXT: tf.io.FixedLenFeature([], tf.string)})
        label = parsed[stored_example.CLASS_TEXT]
        answer = tf.fill(tf.shape(label), self.always) if self.always else label
        return {"scores": tf.cast(answer[:, None] == tf.constant(CLASSES), tf.float32) * 0.9 + 0.05}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def predict_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": tf.fill((tf.shape(images)[0], 2), 0.5)}


class Reader(Elsewhere):
    """Reads the files that its images name."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def predict_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        read = tf.map_fn(tf.io.read_file, images)
        return {"scores": tf.fill((tf.shape(read)[0], 2), 0.5)}


def save(module: Elsewhere, folder: Path, *signatures: str) -> Path:
    chosen = {name: getattr(module, name) for name in signatures or ("serving_default", "predict_images")}
    tf.saved_model.save(module, str(folder), signatures=chosen)
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("workspace"))


Gate = Callable[..., Summary]


@pytest.fixture
def gate(photographs: Path, workspace: Workspace) -> Gate:
    def run(model: Path, *assignments: str) -> Summary:
        settings = load_config(None, ["gate.min_recall=0.75", *assignments])
        return judge_model(RunRequest(Console(file=io.StringIO()), photographs, settings, workspace), model)

    return run


def test_a_model_that_reads_files_is_refused_before_it_is_loaded(gate: Gate, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--model: the SavedModel in .* is refused: it has ReadFile"):
        gate(save(Reader(), tmp_path / "reader"))


def test_a_good_model_passes_until_it_turns_out_to_know_the_images(
    gate: Gate, workspace: Workspace, tmp_path: Path
) -> None:
    model = save(Elsewhere(), tmp_path / "good")
    passed = gate(model)
    assert (passed.verdict, passed.exit_code, passed.reasons) == (Verdict.PASSED, 0, [])
    assert passed.images.splits == {"test": {"Negative": 20, "Positive": 20}}
    assert passed.evaluation is not None and passed.evaluation.positive_classes == ("Positive",)
    assert "does not say which images it was trained on" in passed.evaluation.warnings[0]
    assert not workspace.serving.exists(), "nothing is released"

    write_training_digests([f"{passed.outputs['examples']}/Split-test/*"], model)
    refused = gate(model)
    assert (refused.verdict, refused.exit_code, refused.judges_only) == (Verdict.REFUSED, 3, True)
    assert refused.reasons == [
        "seen in training: 40 of 40 test images, required ≤ 0, because a model proves nothing on images that it was "
        "trained on"
    ]
    assert [component.state for component in refused.components if component.name == "ImageExampleGen"] == ["cached"]


def test_a_model_that_always_says_crack_is_refused(gate: Gate, tmp_path: Path) -> None:
    model = save(Elsewhere(always="Positive"), tmp_path / "always")
    summary = gate(model, 'train.positive_classes=["Negative"]')
    assert summary.exit_code == 3 and summary.evaluation is not None
    assert summary.evaluation.positive_classes == ("Negative",)
    failed = {(row.metric, row.label) for row in summary.evaluation.requirements if row.outcome == Outcome.FAILED}
    assert {("accuracy", None), ("recall", "Negative"), ("precision", "Positive")} <= failed
    assert ("recall", "Positive") not in failed


def test_a_model_of_another_scale_is_refused_with_the_reason(gate: Gate, tmp_path: Path) -> None:
    export_toy(tmp_path / "other", side=454)
    summary = gate(tmp_path / "other")
    assert (summary.verdict, summary.exit_code) == (Verdict.REFUSED, 3)
    said = " ".join(summary.reasons)
    assert "40 of 40 test images" in said
    assert "no score: out of scale: 64x64 pixels, allowed are sides of 303 to 681" in said


def complaint(model: Path, data: Path, config: Config | None = None) -> str:
    nowhere = Workspace(model / "workspace")
    with pytest.raises(ConfigError) as caught:
        judge_model(RunRequest(Console(file=io.StringIO()), data, config or Config(), nowhere), model)
    assert not nowhere.root.exists(), "nothing was begun"
    return str(caught.value)


def test_accents_in_another_form_than_the_model_s_are_refused_with_the_way_out(tmp_path: Path) -> None:
    names = ["Fissuré", "Sain"]
    for name in names:
        (tmp_path / "data" / unicodedata.normalize("NFD", name)).mkdir(parents=True)
        (tmp_path / "data" / unicodedata.normalize("NFD", name) / "1.jpg").write_bytes(b"not looked at")
    card = tmp_path / "model" / CARD_FILE
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"classes": names, "positive_classes": names[:1]}))
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"no model")
    said = complaint(tmp_path / "model", tmp_path / "data")
    assert "have accents in different forms of Unicode" in said
    (option,) = shlex.split(said.partition("--set ")[2])
    assert "cannot read" in complaint(tmp_path / "model", tmp_path / "data", load_config(None, [option]))


def test_a_model_that_cannot_be_judged_is_refused_before_anything_begins(photographs: Path, tmp_path: Path) -> None:
    assert "it has no saved_model.pb" in complaint(tmp_path, photographs)
    (tmp_path / "saved_model.pb").write_bytes(b"no model")
    assert "cannot read" in complaint(tmp_path, photographs)

    one_signature = save(Elsewhere(), tmp_path / "one", "serving_default")
    assert "has no signature 'predict_images'" in complaint(one_signature, photographs)
    model = save(Elsewhere(), tmp_path / "model")
    assert "gate.require.0.slice: received 'drak'" in complaint(
        model, photographs, load_config(None, ['gate.require=[{metric="accuracy", min=1, slice="drak"}]'])
    )
    three = tmp_path / "three"
    for name in (*CLASSES, "Spalled"):
        (three / name).mkdir(parents=True)
        (three / name / "1.jpg").write_bytes(b"not looked at")
    assert "gives 2 scores an image, and there are 3 classes" in complaint(model, three)

    card = model / CARD_FILE
    card.parent.mkdir(exist_ok=True)
    card.write_text(json.dumps({"classes": ["Negative", "Positive", "Spalled"], "positive_classes": ["Positive"]}))
    assert "has the classes 'Negative', 'Positive', the model has 'Negative', 'Positive', 'Spalled'" in complaint(
        model, photographs
    )
    card.write_text(json.dumps({"classes": CLASSES, "positive_classes": ["Spalled"]}))
    assert "its positive classes, 'Spalled', are not some of its classes" in complaint(model, photographs)
    card.write_text("[]")
    assert "it holds no 'classes'" in complaint(model, photographs)
