"""`crackgate export`: the float network is the model, the integer network is as good as the gate wants it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from PIL import Image
from typer.testing import CliRunner

from crackgate.config.data import DataOptions
from crackgate.contracts import stored_example
from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.model_files import MODEL_VERSION_FILE
from crackgate.data_set.data_set import ListedImage, find_data_set
from crackgate.images.copies.descriptor import describe
from crackgate.images.image_file import canonical_image
from crackgate.model.inference_requests import openvino_core
from crackgate_cli.main import app
from serving.export.photographs import share_out
from tests.helpers.toy_release import CLASSES, SIZE, THRESHOLD

# TensorFlow's own interpreter says on every use that it is to be replaced by another package.
pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")

EACH = 40
NAMES = {
    "tflite": ["model-float32.tflite", "model-int8.tflite"],
    "openvino": ["model-float32.bin", "model-float32.xml", "model-int8.bin", "model-int8.xml"],
    "onnx": ["model-float32.onnx"],
}
FLOAT_ONLY = ["export.json", "model-float32.tflite"]


@dataclass(frozen=True)
class Exported:
    """What a command came to."""

    exit_code: int
    said: str
    folder: Path

    @property
    def files(self) -> list[str]:
        return sorted(file.name for file in self.folder.iterdir()) if self.folder.is_dir() else []

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.folder / "export.json").read_text(encoding="utf-8"))
        return record


def run(model: Path, data: Path, output: Path, *assignments: str, to: str = "tflite") -> Exported:
    command = ["export", "--to", to, "--model", str(model), "--data", str(data), "-o", str(output)]
    for assignment in assignments:
        command += ["--set", assignment]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    return Exported(result.exit_code, result.output, output)


def write(file: Path, grey: float, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(grey, 12, (40, 48, 3))
    Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(file)


def listed(folder: Path) -> list[ListedImage]:
    return find_data_set(folder, DataOptions()).images


def write_photographs(folder: Path) -> Path:
    """Dark cracks and bright sound surfaces; one of the cracks is bright, and the model overlooks it."""
    for number in range(EACH):
        write(folder / "Negative" / f"{number:02}.png", np.linspace(150, 250, EACH)[number], number)
        write(folder / "Positive" / f"{number:02}.png", np.linspace(5, 105, EACH)[number], EACH + number)
    write(folder / "Positive" / "00.png", 220, 0)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photographs(tmp_path_factory.mktemp("export") / "photographs")


@pytest.fixture(scope="module", params=list(NAMES))
def to(request: pytest.FixtureRequest) -> str:
    runtime: str = request.param
    return runtime


@pytest.fixture(scope="module")
def exported(to: str, toy_model: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return run(toy_model, data, tmp_path_factory.mktemp("exported") / "new", to=to)


def test_all_files_appear_where_int8_is_good_enough(exported: Exported, to: str) -> None:
    assert exported.exit_code == 0, exported.said
    assert exported.files == ["export.json", *NAMES[to]]
    record = exported.record
    assert record["runtime"] == to
    assert (record["model_version"], record["classes"]) == ("unreleased", CLASSES)
    assert (record["positive_classes"], record["threshold"]) == (["Positive"], THRESHOLD)
    assert record["input"]["shape"] == [1 if to == "tflite" else None, SIZE, SIZE, 3]
    photographs = record["photographs"]
    assert photographs["calibrated_on"] == 2 * EACH / 5
    assert photographs["judged_on"] == {"Negative": EACH * 4 / 5, "Positive": EACH * 4 / 5}
    assert photographs["seen_in_training"] is None and photographs["skipped"] == []
    names = [name for name in record["networks"] if name != "saved_model"]
    assert names == (["float32"] if to == "onnx" else ["float32", "int8"])
    for name in names:
        network = record["networks"][name]
        for file in network["files"]:
            content = (exported.folder / file["file"]).read_bytes()
            assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert network["label_agreement"] == 1 and network["images_per_second"] > 0
        (recall,) = [each for each in network["metrics"] if (each["metric"], each["label"]) == ("recall", "Positive")]
        assert recall["value"] == (EACH * 4 / 5 - 1) / (EACH * 4 / 5) and recall["low"] < recall["value"]
    assert record["networks"]["float32"]["largest_score_difference"] <= 1e-4
    if "int8" in names:
        assert record["networks"]["int8"]["refused_for"] == []
        assert {each["outcome"] for each in record["networks"]["int8"]["requirements"]} == {"passed"}
        assert "Gate of int8" in exported.said
    assert "0.9844" in exported.said


def scores_of(folder: Path, network: str, pixels: np.ndarray) -> np.ndarray:
    """Runs a file as its users do, by the names in its record."""
    file = folder / f"model-{network}"
    if (tflite := file.with_suffix(".tflite")).exists():
        score = tf.lite.Interpreter(model_content=tflite.read_bytes()).get_signature_runner()
        return np.concatenate([score(pixels=image[np.newaxis])["scores"] for image in pixels])
    if (xml := file.with_suffix(".xml")).exists():
        hint = {"INFERENCE_PRECISION_HINT": "f32"}
        scores: np.ndarray = openvino_core().compile_model(str(xml), "CPU", hint)({"pixels": pixels})["scores"]
        return scores
    session = onnxruntime.InferenceSession(str(file.with_suffix(".onnx")), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["scores"], {"pixels": pixels})[0])


def test_the_files_score_as_the_model_does(exported: Exported, to: str, toy_model: Path) -> None:
    pixels = np.random.default_rng(0).uniform(60, 190, (9, SIZE, SIZE, 3)).astype(np.float32)
    pixels += np.linspace(-60, 60, 9, dtype=np.float32)[:, None, None, None]
    loaded = tf.saved_model.load(str(toy_model))
    expected = loaded.score_pixels(tf.constant(pixels)).numpy()
    np.testing.assert_allclose(scores_of(exported.folder, "float32", pixels), expected, atol=1e-4)
    if to != "onnx":
        plain = np.array([20, 60, 100, 160, 200, 240], np.float32)[:, None, None, None] * np.ones(
            (1, SIZE, SIZE, 3), "f"
        )
        assert scores_of(exported.folder, "int8", plain).argmax(1).tolist() == [1, 1, 1, 0, 0, 0]
    if to == "tflite":
        content = (exported.folder / "model-int8.tflite").read_bytes()
        tensors = tf.lite.Interpreter(model_content=content).get_tensor_details()
        assert sum(np.issubdtype(tensor["dtype"], np.floating) for tensor in tensors) == 2, "input and output only"


def test_no_photograph_calibrates_and_judges(data: Path) -> None:
    shares = share_out(listed(data), CLASSES)
    calibrating, judging = ({file.path for file in share} for share in (shares.calibrating, shares.judging))
    assert not calibrating & judging and len(calibrating | judging) == 2 * EACH
    assert share_out(listed(data), CLASSES) == shares


def test_int8_is_refused_where_it_does_not_reach_what_the_gate_wants(
    toy_model: Path, data: Path, tmp_path: Path
) -> None:
    on_a_slice = 'gate.require=[{metric="recall", label="Positive", slice="dark", min=0.5}]'
    refused = run(toy_model, data, tmp_path / "out", "gate.min_accuracy=0.99", on_a_slice)
    assert refused.exit_code == 3, refused.said
    assert refused.files == FLOAT_ONLY
    (reason,) = refused.record["networks"]["int8"]["refused_for"]
    assert reason.startswith("accuracy: 0.9844 (0.9159 to 0.9997), required ≥ 0.9900 by the estimate, over 64 images")
    assert refused.record["networks"]["int8"]["files"] == []
    assert "REFUSED" in refused.said and reason in refused.said
    assert "not judged here: 2 requirements of the gate about slices" in refused.said


def test_int8_is_refused_where_it_was_calibrated_on_nothing_like_the_photographs(
    toy_model: Path, tmp_path: Path
) -> None:
    data = write_photographs(tmp_path / "data")
    for file in share_out(listed(data), CLASSES).calibrating:
        Image.new("RGB", (40, 48)).save(data / file.path)
    refused = run(toy_model, data, tmp_path / "out")
    assert (refused.exit_code, refused.files) == (3, FLOAT_ONLY), refused.said
    reasons = refused.record["networks"]["int8"]["refused_for"]
    assert any(reason.startswith("change of accuracy: -0.") for reason in reasons)
    assert refused.record["networks"]["float32"]["label_agreement"] == 1


class Network(tf.Module):
    """Scores that the TensorFlow Lite converter, or its judge, has trouble with."""

    def __init__(self, trouble: str):
        super().__init__()
        self.trouble = trouble

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def decode(self, encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def decode(image: tf.Tensor) -> tf.Tensor:
            return tf.image.resize(tf.io.decode_png(image, 3), (SIZE, SIZE))

        pixels = tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec((SIZE, SIZE, 3)))
        return pixels, tf.zeros_like(encoded)

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32)])
    def score_pixels(self, pixels: tf.Tensor) -> tf.Tensor:
        dark = 1 - tf.reduce_mean(pixels, axis=(1, 2, 3)) / 255
        if self.trouble == "no number":
            dark = dark / (dark - dark)
        elif self.trouble == "nowhere":
            dark = tf.math.igamma(dark, dark)
        elif self.trouble == "not in integers":
            dark = tf.sin(dark) / tf.sin(1.0)
        return tf.stack([1 - dark, dark], axis=1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def predict_images(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": self.score_pixels(self.decode(image_bytes)[0])}


def save(network: tf.Module, model: Path) -> None:
    tf.saved_model.save(network, str(model), signatures={"predict_images": network.predict_images})
    card = {"classes": CLASSES, "image_size": SIZE, "positive_classes": ["Positive"], "threshold": THRESHOLD}
    (model / "assets.extra").mkdir()
    (model / "assets.extra" / "classifier.json").write_text(json.dumps(card))
    (model / MODEL_VERSION_FILE).write_text("1")


@pytest.mark.parametrize(
    ("trouble", "runtime", "exit_code", "files", "says"),
    [
        ("no number", "tflite", 1, [], "differ from TensorFlow's by nan, 0.0001 is allowed: nothing was written"),
        ("no number", "openvino", 1, [], "differ from TensorFlow's by nan, 0.0001 is allowed: nothing was written"),
        ("no number", "onnx", 1, [], "differ from TensorFlow's by nan, 0.0001 is allowed: nothing was written"),
        ("nowhere", "tflite", 1, [], "TensorFlow Lite cannot take this network"),
        ("nowhere", "openvino", 1, [], "OpenVINO cannot take this network"),
        ("nowhere", "onnx", 1, [], "ONNX Runtime cannot take this network"),
        ("not in integers", "tflite", 3, FLOAT_ONLY, "stays in floating point"),
    ],
)
def test_networks_that_cannot_be_converted(
    trouble: str, runtime: str, exit_code: int, files: list[str], says: str, data: Path, tmp_path: Path
) -> None:
    network, model = Network(trouble), tmp_path / "1"
    save(network, model)
    found = run(model, data, tmp_path / "out", to=runtime)
    assert (found.exit_code, found.files) == (exit_code, files), found.said
    assert says in found.said


def test_a_model_that_was_trained_elsewhere_is_refused(data: Path, tmp_path: Path) -> None:
    class Foreign(tf.Module):
        """Nothing but a signature."""

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def predict_images(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"scores": tf.fill((tf.shape(image_bytes)[0], 2), 0.5)}

    save(Foreign(), tmp_path / "1")
    found = run(tmp_path / "1", data, tmp_path / "out")
    assert (found.exit_code, found.files) == (2, []) and "crackgate did not train it" in found.said, found.said


def test_files_that_are_no_photographs_and_photographs_that_were_trained_on_are_told(
    toy_model: Path, data: Path, tmp_path: Path
) -> None:
    model, photographs = tmp_path / "model", tmp_path / "data"
    for source, copy in ((toy_model, model), (data, photographs)):
        for file in source.rglob("*"):
            if file.is_file():
                (copy / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
                (copy / file.relative_to(source)).write_bytes(file.read_bytes())
    (photographs / "beside.png").write_text("beside the classes")
    shares = share_out(listed(photographs), CLASSES)
    (photographs / shares.judging[0].path).write_bytes(b"no image")
    trained_on = [(photographs / file.path).read_bytes() for file in shares.judging[1:4]]
    digests = [stored_example.digest(describe(canonical_image(each, ImageLimits()).luma)) for each in trained_on]
    np.save(model / stored_example.TRAINING_DIGESTS_FILE, np.array(sorted(digests), np.uint64))
    found = run(model, photographs, tmp_path / "out")
    assert found.exit_code == 0, found.said
    assert "the model was trained on 3 of these photographs" in found.said and "not used: 2 files" in found.said
    told = found.record["photographs"]
    assert told["seen_in_training"] == 3
    assert [each["path"] for each in told["skipped"]] == ["beside.png", shares.judging[0].path]
    assert "not an image" in told["skipped"][1]["reason"]


def test_bad_inputs_are_refused_at_once(toy_model: Path, data: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    for name in CLASSES:
        write(few / name / "1.png", 100, 0)
    other = tmp_path / "other"
    for name in ("Cracked", "Sound"):
        write(other / name / "1.png", 100, 0)
    new = tmp_path / "new"
    for found, says in (
        (run(toy_model, data, few), "is not an empty folder"),
        (run(toy_model, data, data / "device"), "would be taken for a class"),
        (run(toy_model, few, new), "holds one file"),
        (run(toy_model, other, new), "has the classes 'Cracked', 'Sound', the model has 'Negative', 'Positive'"),
        (run(toy_model, tmp_path / "gone", new), "which is no folder"),
        (run(few, data, new), "it has no saved_model.pb"),
        (run(toy_model, data, new, "gate.min_accuracy=2"), "gate.min_accuracy: received 2"),
    ):
        assert found.exit_code == 2 and says in found.said, found.said
    assert not new.exists()


def test_photographs_that_cannot_be_read_are_a_usage_error(toy_model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in CLASSES:
        for number in range(4):
            write(data / name / f"{number}.png", 100, number)
    for file in share_out(listed(data), CLASSES).judging:
        if file.label:
            (data / file.path).write_bytes(b"no image")
    found = run(toy_model, data, tmp_path / "out")
    assert (found.exit_code, found.files) == (2, []), found.said
    assert "no photograph of 'Positive' is left to judge by: skipped are 'Positive/0.png' (not an image" in found.said
