"""The released artifact: two signatures, one answer, the same as the trained model's, wherever it is loaded."""

import io
import json
import shutil
import struct
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import prediction_log_pb2

from crackgate.config.train import TrainOptions
from crackgate.contracts import stored_example
from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.model_files import CARD_FILE, MODEL_VERSION_FILE, WARMUP_FILE
from crackgate.contracts.scale import TrainedScale
from crackgate.images.image_file import canonical_image
from crackgate.model.calibration import Calibration
from crackgate.model.decision import Decision, decide
from crackgate.model.decoding import decode_image
from crackgate.model.familiarity import fit_familiarity
from crackgate.model.predictions import PredictionRow, predict
from crackgate.model.released_model import load_released_model
from serving.batch.inputs import find_images
from trainer.export.image_scale import measure_scale
from trainer.export.signatures import IMAGES_AT_ONCE, export_classifier
from trainer.export.warmup import write_warmup_requests
from trainer.input_pipeline import read_images
from trainer.network.backbones import build_backbone
from trainer.network.classifier import assemble, build_head
from trainer.network.texture import texture_of

CLASSES = ["Crack", "Größer", "Sound"]
SIZE = 32
CALIBRATION = Calibration(1.7, (0.5, -0.3, -0.2))
# Of one class in three, so that some images are positive without the highest score.
DECISION = Decision((CLASSES.index("Crack"),), float(np.float32(0.25)))

Answer = dict[str, np.ndarray]
Signature = Callable[..., dict[str, tf.Tensor]]


@keras.saving.register_keras_serializable("tests")
class FewImagesAtOnce(keras.layers.Layer):
    """Refuses larger batches than serving promises to make."""

    def call(self, images: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([tf.debugging.assert_less_equal(tf.shape(images)[0], IMAGES_AT_ONCE)]):
            return tf.identity(images)


@pytest.fixture(scope="module")
def classifier(new_toy_backbone: Callable[[], keras.Model], images: np.ndarray) -> keras.Model:
    """An untrained classifier that spreads the images over all classes."""
    backbone = new_toy_backbone()
    head = build_head(backbone.output_shape[-1], len(CLASSES), TrainOptions(seed=0))
    pooled = backbone.predict(images, verbose=0).mean(axis=(1, 2))
    kernel = np.random.default_rng(1).normal(0, 2, (pooled.shape[1], len(CLASSES))) / pooled.std(axis=0)[:, None]
    head.set_weights([kernel, -pooled.mean(axis=0) @ kernel])
    return assemble(backbone, head)


@pytest.fixture(scope="module")
def folder(classifier: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported classifier, with a positive class."""
    folder = tmp_path_factory.mktemp("exported")
    images = keras.Input((SIZE, SIZE, 3))
    guarded = keras.Model(images, classifier(FewImagesAtOnce()(images)))
    export_classifier(guarded, CLASSES, SIZE, folder, CALIBRATION, DECISION)
    return folder


@pytest.fixture(scope="module")
def undecided(classifier: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without a positive class."""
    folder = tmp_path_factory.mktemp("undecided")
    export_classifier(classifier, CLASSES, SIZE, folder, CALIBRATION, None)
    return folder


@pytest.fixture(scope="module")
def signatures(folder: Path) -> dict[str, Signature]:
    """What TensorFlow Serving calls. The loaded object comes along: its variables live as long as it does."""
    loaded = tf.saved_model.load(str(folder))
    return {**loaded.signatures, "loaded": loaded}


@pytest.fixture(scope="module")
def encoded() -> list[bytes]:
    """70 images of many tones, shapes and all formats."""
    rng = np.random.default_rng(0)
    images = []
    for number in range(70):
        height, width = rng.integers(32, 60, 2)
        pixels = np.clip(rng.uniform(0, 255, 3) + rng.normal(0, 60, (height, width, 3)), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, ("JPEG", "PNG", "BMP")[number % 3])
        images.append(buffer.getvalue())
    return images


@pytest.fixture(scope="module")
def images(encoded: list[bytes]) -> np.ndarray:
    """The same as training sees them."""
    return np.stack([decode_image(tf.constant(image), SIZE).numpy() for image in encoded])


@keras.saving.register_keras_serializable("tests")
class WrittenDown(keras.layers.Layer):
    """Writes the images that come by to a file, in whatever process and graph."""

    def __init__(self, file: str, **options: Any):
        super().__init__(**options)
        self.file = file

    def call(self, images: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([tf.io.write_file(self.file, tf.io.serialize_tensor(images))]):
            return tf.identity(images)


@pytest.mark.parametrize("name", ["serving_default", "predict_images"])
def test_training_and_serving_see_the_same_input_bit_for_bit(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    stored = []
    for number in range(IMAGES_AT_ONCE):
        height, width = rng.integers(32, 90, 2)
        pixels = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
        picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
        picture = picture.convert(("RGB", "L", "CMYK", "P")[number % 4])
        buffer = io.BytesIO()
        picture.save(buffer, "PNG" if picture.mode == "P" else ("JPEG", "TIFF")[number // 4 % 2])
        stored.append(canonical_image(buffer.getvalue(), ImageLimits(min_side=32)).encoded)
    assert len({encoded[:4] for encoded in stored}) >= 2, "JPEG and PNG"
    with tf.io.TFRecordWriter(str(tmp_path / "stored.gz"), "GZIP") as writer:
        for encoded in stored:
            writer.write(_example(encoded))
    trained_on = np.concatenate([images for images, _ in read_images([str(tmp_path / "*.gz")], SIZE, 5)])

    images = keras.Input((SIZE, SIZE, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(WrittenDown(str(tmp_path / "seen"))(images))
    export_classifier(keras.Model(images, pooled), CLASSES, SIZE, tmp_path / "model", CALIBRATION, None)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    _ask({**loaded.signatures}, stored, name)
    served = tf.io.parse_tensor((tmp_path / "seen").read_bytes(), tf.float32).numpy()
    assert served.shape == (IMAGES_AT_ONCE, SIZE, SIZE, 3) and served.std() > 10
    assert served.tobytes() == trained_on.tobytes()


def _example(encoded: bytes) -> bytes:
    """As ingest stores it; serving needs the image only, and ignores the rest."""
    feature = {
        stored_example.ENCODED: tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
        stored_example.CLASS_LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[1])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _ask(signatures: dict[str, Signature], encoded: list[bytes], name: str = "predict_images") -> Answer:
    argument = {"predict_images": "image_bytes", "serving_default": "examples"}[name]
    values = [_example(image) for image in encoded] if name == "serving_default" else encoded
    answer = signatures[name](**{argument: tf.constant(values, tf.string, shape=(len(values),))})
    return {key: value.numpy() for key, value in answer.items()}


def _predict(folder: Path, paths: list[Path]) -> list[PredictionRow]:
    return list(predict(load_released_model(folder), find_images(map(str, paths))))


@pytest.mark.parametrize(("name", "argument"), [("serving_default", "examples"), ("predict_images", "image_bytes")])
def test_each_signature_takes_strings_and_names_what_it_returns(
    name: str, argument: str, signatures: dict[str, Signature]
) -> None:
    signature = signatures[name]
    assert signature.structured_input_signature == ((), {argument: tf.TensorSpec([None], tf.string, name=argument)})
    assert _outputs(signature) == {**OUTPUTS, "is_positive": ([None], tf.bool)}


OUTPUTS = {
    "label": ([None], tf.string),
    "probability": ([None], tf.float32),
    "scores": ([None, len(CLASSES)], tf.float32),
    "model_version": ([None], tf.string),
    "error": ([None], tf.string),
}


def _outputs(signature: Signature) -> dict[str, tuple[list[int | None], tf.DType]]:
    return {key: (spec.shape.as_list(), spec.dtype) for key, spec in signature.structured_outputs.items()}


def test_there_are_two_signatures(signatures: dict[str, Signature]) -> None:
    loaded: Any = signatures["loaded"]
    assert sorted(loaded.signatures) == ["predict_images", "serving_default"]


def test_both_signatures_answer_alike(signatures: dict[str, Signature], encoded: list[bytes]) -> None:
    from_bytes, from_examples = (_ask(signatures, encoded, name) for name in ("predict_images", "serving_default"))
    for key in ("label", "probability", "scores", "is_positive"):
        np.testing.assert_array_equal(from_bytes[key], from_examples[key])


def test_scores_are_the_calibrated_ones_of_the_trained_model(
    signatures: dict[str, Signature], encoded: list[bytes], images: np.ndarray, classifier: keras.Model
) -> None:
    logits = classifier.predict(images, verbose=0)
    expected = CALIBRATION.scores(logits)
    # The images get different answers, and calibration changes them: else nothing would be shown.
    assert np.ptp(expected, axis=0).min() > 0.3
    assert np.abs(expected - keras.ops.convert_to_numpy(keras.ops.softmax(logits))).max() > 0.1
    answer = _ask(signatures, encoded)
    np.testing.assert_allclose(answer["scores"], expected, atol=1e-5)
    np.testing.assert_allclose(answer["scores"].sum(axis=1), 1, atol=1e-6)


def test_an_image_is_positive_from_the_threshold_on(signatures: dict[str, Signature], encoded: list[bytes]) -> None:
    answer = _ask(signatures, encoded)
    scores = answer["scores"]
    np.testing.assert_array_equal(
        answer["is_positive"], scores[:, DECISION.labels[0]] >= np.float32(DECISION.threshold)
    )
    # Some are positive although another class scores higher, and some are not.
    assert (answer["is_positive"] & (scores.argmax(axis=1) != DECISION.labels[0])).any()
    labels = [CLASSES.index(label.decode()) for label in answer["label"]]
    assert labels == decide(scores, DECISION).tolist()
    assert set(labels) == set(range(len(CLASSES)))
    np.testing.assert_array_equal(answer["probability"], scores[np.arange(len(labels)), labels])


def test_scores_of_several_positive_classes_are_summed_everywhere_alike(
    classifier: keras.Model, encoded: list[bytes], tmp_path: Path
) -> None:
    decision = Decision((0, 2), float(np.float32(0.4)))
    export_classifier(classifier, CLASSES, SIZE, tmp_path, CALIBRATION, decision)
    answer = _ask({**tf.saved_model.load(str(tmp_path)).signatures}, encoded)
    scores = answer["scores"]
    np.testing.assert_array_equal(answer["is_positive"], scores[:, 0] + scores[:, 2] >= np.float32(0.4))
    # Some are positive by the sum alone, and some although the other class scores highest of all three.
    assert (answer["is_positive"] & (scores[:, (0, 2)].max(axis=1) < 0.4)).any()
    assert (answer["is_positive"] & (scores.argmax(axis=1) == 1)).any() and not answer["is_positive"].all()
    labels = [CLASSES.index(label.decode()) for label in answer["label"]]
    assert labels == decide(scores, decision).tolist() and set(labels) == {0, 1, 2}
    assert (np.isin(labels, (0, 2)) == answer["is_positive"]).all()
    model = load_released_model(tmp_path)
    assert model.positive_classes == ("Crack", "Sound") and model.decision == decision
    served = model.answer(encoded)
    assert [row.label for row in served] == [CLASSES[label] for label in labels]
    assert [row.is_positive for row in served] == answer["is_positive"].tolist()


def test_without_a_positive_class_the_highest_score_decides(
    undecided: Path, signatures: dict[str, Signature], encoded: list[bytes]
) -> None:
    loaded = tf.saved_model.load(str(undecided))
    for signature in loaded.signatures.values():
        assert _outputs(signature) == OUTPUTS
    answer = _ask({**loaded.signatures}, encoded)
    np.testing.assert_allclose(answer["scores"], _ask(signatures, encoded)["scores"], atol=1e-6)
    assert [CLASSES.index(label.decode()) for label in answer["label"]] == answer["scores"].argmax(axis=1).tolist()
    np.testing.assert_array_equal(answer["probability"], answer["scores"].max(axis=1))
    card = json.loads((undecided / "assets.extra" / "classifier.json").read_text(encoding="utf-8"))
    assert card["positive_classes"] == [] and card["threshold"] is None


def test_logits_that_are_no_numbers_are_not_hidden(tmp_path: Path, encoded: list[bytes]) -> None:
    images = keras.Input((SIZE, SIZE, 3))
    sums = keras.layers.GlobalAveragePooling2D()(images)
    # Of a black image: 0 / 0.
    export_classifier(keras.Model(images, sums / sums), CLASSES, SIZE, tmp_path, CALIBRATION, DECISION)
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40)).save(buffer, "PNG")
    loaded = tf.saved_model.load(str(tmp_path))
    answer = _ask({**loaded.signatures}, [buffer.getvalue(), encoded[0]])
    assert np.isnan(answer["scores"]).all(axis=1).tolist() == [True, False]
    assert np.isnan(answer["probability"]).tolist() == [True, False]
    assert answer["is_positive"][0], "somebody should look at it"

    file = tmp_path / "black.png"
    file.write_bytes(buffer.getvalue())
    (row,) = _predict(tmp_path, [file])
    assert row.answer.record(CLASSES)["label"] is None and "no numbers" in row.answer.error


def test_predict_gives_the_decision_the_scores_and_what_could_not_be_read(
    folder: Path, undecided: Path, encoded: list[bytes], tmp_path: Path
) -> None:
    files = [tmp_path / f"{number:02}.image" for number in range(12)]
    large = [image for image in encoded if min(Image.open(io.BytesIO(image)).size) >= 32]
    for file, image in zip(files, [*large[:11], b"nothing"], strict=True):
        file.write_bytes(image)
    *rows, bad = _predict(folder, [tmp_path])
    record = bad.answer.record(CLASSES)
    assert bad.image == str(files[-1]) and record["label"] is record["is_positive"] is None and record["error"]
    assert {row.answer.is_positive for row in rows} == {True, False}
    for row in rows:
        record = row.answer.record(CLASSES)
        assert list(record["scores"]) == CLASSES
        assert (
            record["is_positive"] == (record["label"] == "Crack") == (record["scores"]["Crack"] >= DECISION.threshold)
        )
        assert record["probability"] == record["scores"][record["label"]]
    assert [row.answer.is_positive for row in _predict(undecided, files)] == [None] * 12


@pytest.mark.parametrize("name", ["serving_default", "predict_images"])
@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 70])
def test_a_batch_of_any_size_gets_the_answers_of_its_images(
    count: int, name: str, signatures: dict[str, Signature], encoded: list[bytes], alone: Answer
) -> None:
    answer = _ask(signatures, encoded[:count], name)
    assert answer["scores"].shape == (count, len(CLASSES))
    np.testing.assert_allclose(answer["scores"], alone["scores"][:count], atol=1e-6)
    np.testing.assert_array_equal(answer["label"], alone["label"][:count])


@pytest.fixture(scope="module")
def alone(signatures: dict[str, Signature], encoded: list[bytes]) -> Answer:
    """The answers for one image at a time."""
    answers = [_ask(signatures, [image]) for image in encoded]
    return {key: np.concatenate([answer[key] for answer in answers]) for key in answers[0]}


@pytest.fixture(scope="module")
def broken() -> dict[str, bytes]:
    """What is no image, by what is wrong with it."""
    pixels = np.random.default_rng(3).integers(0, 256, (90, 120, 3), np.uint8)

    def encode(image: Image.Image, file_format: str) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, file_format)
        return buffer.getvalue()

    jpeg, png, bmp, gif, webp = (
        encode(Image.fromarray(pixels), name) for name in ("JPEG", "PNG", "BMP", "GIF", "WEBP")
    )
    header = b"IHDR" + struct.pack(">II", 60_000, 60_000) + png[24:29]
    claims_much = png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]
    return {
        "empty": b"",
        "text": b"not an image",
        "zeros": bytes(100),
        "half a JPEG": jpeg[: len(jpeg) // 2],
        "JPEG without its end": jpeg[:-40],
        "start of a JPEG": jpeg[:3],
        "half a PNG": png[: len(png) // 2],
        "PNG without its end": png[:-30],
        "start of a PNG": png[:18],
        "flipped bit in a PNG": png[:5000] + bytes([png[5000] ^ 1]) + png[5001:],
        "PNG header, JPEG body": png[:8] + jpeg,
        "JPEG header, PNG body": jpeg[:4] + png,
        "half a BMP": bmp[: len(bmp) // 2],
        "start of a BMP": bmp[:2],
        "GIF": gif,
        "WebP": webp,
        "PNG that claims to be huge": claims_much,
        "huge PNG": encode(Image.new("1", (10_000, 10_000)), "PNG"),
        "huge JPEG": encode(Image.new("L", (8_000, 8_000)), "JPEG"),
    }


@pytest.mark.parametrize("name", ["serving_default", "predict_images"])
def test_what_is_no_image_fails_its_own_row_only(
    name: str, signatures: dict[str, Signature], encoded: list[bytes], broken: dict[str, bytes], alone: Answer
) -> None:
    # More than are decoded at once, and every second is good.
    images = [image for pair in zip(encoded, broken.values(), strict=False) for image in pair]
    assert len(images) == 2 * len(broken) > IMAGES_AT_ONCE
    answer = _ask(signatures, images, name)
    np.testing.assert_allclose(answer["scores"][::2], alone["scores"][: len(broken)], atol=1e-6)
    for key in ("label", "is_positive"):
        np.testing.assert_array_equal(answer[key][::2], alone[key][: len(broken)])
    assert (answer["error"][::2] == b"").all()

    errors = {kind: error.decode() for kind, error in zip(broken, answer["error"][1::2], strict=True)}
    for kind, error in errors.items():
        if kind == "empty":
            assert error == "empty: there are no bytes"
        elif kind in ("text", "zeros", "PNG header, JPEG body", "GIF", "WebP"):
            assert error == "not a JPEG, PNG or BMP image", kind
        elif "huge" in kind:
            pixels = {"PNG that claims to be huge": 3_600_000_000, "huge PNG": 100_000_000, "huge JPEG": 64_000_000}
            assert error == f"too large: {pixels[kind]} pixels, allowed are 50000000"
        else:
            assert error == "damaged: the image cannot be decoded", kind
    assert (answer["scores"][1::2] == 0).all() and (answer["probability"][1::2] == 0).all()
    assert (answer["label"][1::2] == b"").all() and answer["is_positive"][1::2].all()


def test_a_batch_without_one_good_row_is_answered(signatures: dict[str, Signature]) -> None:
    answer = _ask(signatures, [b"", b"text"])
    assert (answer["error"] != b"").all() and answer["scores"].shape == (2, len(CLASSES))


def test_what_is_no_example_fails_its_own_row_only(signatures: dict[str, Signature], encoded: list[bytes]) -> None:
    two_images = tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded[:2]))
    examples = [
        b"\xff\xff no protocol buffer",
        tf.train.Example().SerializeToString(),
        tf.train.Example(features=tf.train.Features(feature={stored_example.ENCODED: two_images})).SerializeToString(),
        _example(encoded[0]),
    ]
    answer = signatures["serving_default"](examples=tf.constant(examples))
    assert [error.numpy().decode() for error in answer["error"]] == [
        *["not a tf.train.Example with the bytes of one image in image/encoded"] * 3,
        "",
    ]
    np.testing.assert_allclose(answer["scores"].numpy().sum(axis=1), [0, 0, 0, 1], atol=1e-6)


def test_every_answer_names_the_version(folder: Path, signatures: dict[str, Signature], tmp_path: Path) -> None:
    signature = signatures["predict_images"]
    assert signature(image_bytes=tf.constant([b"", b""]))["model_version"].numpy().tolist() == [b"unreleased"] * 2
    assert (folder / MODEL_VERSION_FILE).read_text() == "unreleased"
    released = shutil.copytree(folder, tmp_path / "7")
    (released / MODEL_VERSION_FILE).write_text("1795374444\n")
    loaded = tf.saved_model.load(str(released))
    answer = loaded.signatures["predict_images"](image_bytes=tf.constant([b""]))
    assert answer["model_version"].numpy().tolist() == [b"1795374444"]


def test_the_steps_by_themselves_give_the_same_scores(
    signatures: dict[str, Signature], encoded: list[bytes], images: np.ndarray, alone: Answer
) -> None:
    loaded: Any = signatures["loaded"]
    pixels, error = loaded.decode(tf.constant([*encoded[:9], b"nothing"]))
    np.testing.assert_array_equal(pixels[:9], images[:9])
    assert (error.numpy() == b"").tolist() == [True] * 9 + [False] and not pixels[9].numpy().any()
    np.testing.assert_allclose(loaded.score_pixels(pixels[:9]), alone["scores"][:9], atol=1e-6)
    # The toy backbone's places are no 32 pixels apart.
    assert not hasattr(loaded, "feature_map")


@dataclass(frozen=True)
class Textured:
    """A release that knows grey surfaces of fine grain, its backbone, and surfaces of that kind that it never saw."""

    folder: Path
    loaded: Any
    backbone: keras.Model
    surfaces: np.ndarray

    @property
    def card(self) -> dict[str, Any]:
        card: dict[str, Any] = json.loads((self.folder / CARD_FILE).read_text(encoding="utf-8"))
        return card


def test_the_trunk_takes_images_of_any_size(textured: Textured, encoded: list[bytes]) -> None:
    assert textured.card["stride"] == 32
    loaded = textured.loaded
    pixels, _ = loaded.decode(tf.constant(encoded[:3]))
    places = loaded.feature_map(pixels)
    assert places.shape == (3, 2, 2, 1280)
    np.testing.assert_allclose(places, textured.backbone(pixels, training=False), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        loaded.score_features(tf.reduce_mean(places, axis=(1, 2))), loaded.score_pixels(pixels), atol=1e-6
    )
    large = np.random.default_rng(0).uniform(0, 255, (2, 97, 225, 3)).astype(np.float32)
    assert loaded.feature_map(large).shape == (2, 4, 8, 1280)


def test_the_card_beside_the_model_says_how_it_decides(folder: Path) -> None:
    card = json.loads((folder / "assets.extra" / "classifier.json").read_text(encoding="utf-8"))
    assert card == {
        "classes": CLASSES,
        "image_size": SIZE,
        "positive_classes": ["Crack"],
        "threshold": 0.25,
        "temperature": 1.7,
        "bias": [0.5, -0.3, -0.2],
        "stride": None,
        "scale": None,
        "limits": {"min_side": 32, "max_pixels": 50_000_000, "max_bytes": 50_000_000},
        "network_input": "RGB, 0 to 255 (grey: three equal channels), scaled to 32x32 pixels whatever its shape, "
        "bilinear with antialiasing",
        "familiarity": None,
    }


@pytest.fixture(scope="module")
def textured(tmp_path_factory: pytest.TempPathFactory) -> Textured:
    folder = tmp_path_factory.mktemp("textured")
    backbone = build_backbone("efficientnet-lite0", 64, "imagenet")
    grey = np.random.default_rng(0).normal(150, 12, (160, 1, 1, 1)) + np.random.default_rng(1).normal(
        0, 9, (160, 64, 64, 3)
    )
    surfaces = np.clip(grey, 0, 255).round().astype(np.float32)
    textures = keras.Model(backbone.input, texture_of(backbone)).predict(surfaces, verbose=0)[:, 0, 0]
    familiarity = fit_familiarity(textures[:80], textures[80:120])
    assert familiarity is not None
    head = build_head(backbone.output_shape[-1], len(CLASSES), TrainOptions(seed=0))
    classifier = assemble(backbone, head)
    export_classifier(
        classifier, CLASSES, 64, folder, CALIBRATION, DECISION, backbone=backbone, head=head, familiarity=familiarity
    )
    return Textured(folder, tf.saved_model.load(str(folder)), backbone, surfaces[120:])


def test_a_release_notices_images_that_are_unlike_its_training_images(textured: Textured) -> None:
    loaded = textured.loaded
    alike = [tf.io.encode_png(image.astype(np.uint8)).numpy() for image in textured.surfaces]
    bricks = np.tile(np.array([[[180, 80, 60]] * 12 + [[210, 205, 200]] * 4] * 16, np.uint8), (4, 4, 1))
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    others = [tf.io.encode_png(image).numpy() for image in (bricks, noise, np.zeros((64, 64, 3), np.uint8))]
    rows = [*alike, *others, b"no image"]
    for name in ("predict_images", "serving_default"):
        answer = _ask(loaded.signatures, rows, name)
        unfamiliarity = answer["unfamiliarity"]
        assert unfamiliarity.dtype == np.float32 and (unfamiliarity[: len(alike)] <= 1).mean() > 0.9
        assert (unfamiliarity[len(alike) : -1] > 2).all()
        assert unfamiliarity[-1] == 0 and answer["error"][-1], "an image that is none has no value"
    pixels, _ = loaded.decode(tf.constant(rows[:-1]))
    scores, examined = loaded.examine_pixels(pixels)
    np.testing.assert_allclose(examined, unfamiliarity[:-1], rtol=1e-5)
    np.testing.assert_allclose(scores, loaded.score_pixels(pixels), atol=1e-6)
    np.testing.assert_allclose(scores, answer["scores"][:-1], atol=1e-6)
    assert textured.card["familiarity"] == {"train_images": 80, "eval_images": 40, "eval_beyond": 0}


SCALE = TrainedScale.of(np.array([[60, 60], [90, 60]]))


@pytest.fixture(scope="module")
def scaled(classifier: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported classifier, which knows the sizes of its training images and takes 20,000 pixels."""
    folder = tmp_path_factory.mktemp("scaled")
    limits = ImageLimits(min_side=16, max_pixels=20_000)
    export_classifier(classifier, CLASSES, SIZE, folder, CALIBRATION, DECISION, limits, SCALE)
    return folder


@pytest.fixture(scope="module")
def loaded_scaled(scaled: Path) -> Any:
    return tf.saved_model.load(str(scaled))


def _grey(width: int, height: int, image_format: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (130, 128, 126)).save(buffer, image_format)
    return buffer.getvalue()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP"])
@pytest.mark.parametrize("name", ["serving_default", "predict_images"])
def test_an_image_out_of_scale_fails_its_own_row_and_is_positive(
    name: str, image_format: str, loaded_scaled: Any
) -> None:
    sizes = [(60, 60), (135, 135), (136, 60), (60, 136), (39, 60), (40, 40), (135, 60), (125, 50), (149, 149)]
    answer = _ask(loaded_scaled.signatures, [_grey(*size, image_format) for size in sizes], name)
    errors = [error.decode() for error in answer["error"]]
    refused = np.array([not SCALE.takes(*size) for size in sizes])
    assert refused.tolist() == [False, False, True, True, True, False, False, True, True]
    for size, error, out in zip(sizes, errors, refused, strict=True):
        wanted = SCALE.refusal.format(*size) if out else ""
        assert error == (f"too large: {149**2} pixels, allowed are 20000" if size == (149, 149) else wanted)
    assert not answer["scores"][refused].any() and answer["is_positive"][refused].all()
    assert set(answer["label"][refused]) == {b""}
    assert (answer["scores"][~refused].sum(axis=1) > 0.99).all() and (answer["label"][~refused] != b"").all()


def test_the_graph_takes_the_sizes_that_the_scale_takes(loaded_scaled: Any) -> None:
    sizes = np.random.default_rng(5).integers(36, 140, (400, 2))
    _, errors = loaded_scaled.decode(tf.constant([_grey(width, height, "PNG") for width, height in sizes.tolist()]))
    assert [error == b"" for error in errors.numpy()] == [SCALE.takes(*size) for size in sizes.tolist()]


def test_the_loaded_release_refuses_as_the_signature_does_and_takes_what_ingest_took(scaled: Path) -> None:
    model = load_released_model(scaled)
    sizes = [(60, 60), (20, 20), (15, 15), (60, 141), (150, 150)]
    answers = model.answer([_grey(*size, "TIFF") for size in sizes])
    assert [answer.error.partition(":")[0] for answer in answers] == [
        "",
        "out of scale",
        "too small",
        "out of scale",
        "too large",
    ]
    assert "each side needs 16" in answers[2].error and answers[3].error == SCALE.refusal.format(60, 141)
    assert [answer.is_positive for answer in answers[1:]] == [True] * 4


def test_the_scale_counts_every_image_whose_header_serving_reads(tmp_path: Path) -> None:
    stored = [_grey(60, 80, "JPEG"), _grey(50, 40, "PNG"), _grey(30, 44, "BMP"), _grey(500, 500, "GIF")]
    with tf.io.TFRecordWriter(str(tmp_path / "images.gz"), "GZIP") as writer:
        for image in stored:
            writer.write(_example(image))
    sizes = np.array([[60, 80], [50, 40], [30, 44]])
    assert measure_scale([str(tmp_path / "*.gz")]) == TrainedScale.of(sizes)
    assert measure_scale([str(tmp_path / "none*.gz")]) is None


@pytest.mark.parametrize("side", [60, 33, 400], ids=["close", "smaller", "larger"])
def test_warm_up_requests_are_answered_whatever_the_scale(side: int, classifier: keras.Model, tmp_path: Path) -> None:
    scale, records = TrainedScale.of(np.array([[side, side * 2]])), tmp_path / "images.gz"
    with tf.io.TFRecordWriter(str(records), "GZIP") as writer:
        writer.write(_example(_grey(side, side * 2, "JPEG")))
    folder = tmp_path / "model"
    export_classifier(classifier, CLASSES, SIZE, folder, CALIBRATION, DECISION, scale=scale)
    write_warmup_requests(SIZE, scale, [str(records)], folder)
    loaded = tf.saved_model.load(str(folder))
    requests = list(tf.data.TFRecordDataset(str(folder / WARMUP_FILE)).as_numpy_iterator())
    assert len(requests) == 4
    for request in requests:
        log = prediction_log_pb2.PredictionLog.FromString(request).predict_log.request
        ((name, values),) = log.inputs.items()
        answer = loaded.signatures[log.model_spec.signature_name](**{name: tf.constant(tf.make_ndarray(values))})
        assert set(answer["error"].numpy()) == {b""}


def test_a_fresh_process_without_our_code_gives_the_same_answers(
    folder: Path, signatures: dict[str, Signature], encoded: list[bytes], tmp_path: Path
) -> None:
    images = encoded[:5]
    for number, image in enumerate(images):
        (tmp_path / f"{number}.image").write_bytes(image)
    program = textwrap.dedent("""
        import json, sys
        from pathlib import Path

        class NotOurs:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in ("trainer", "components", "pipeline"):
                    raise ImportError(f"serving needs {name}")

        # However we are installed.
        sys.meta_path.insert(0, NotOurs())
        import tensorflow as tf

        loaded = tf.saved_model.load(sys.argv[1])
        images = [path.read_bytes() for path in sorted(Path.cwd().glob("*.image"))]
        answer = loaded.signatures["predict_images"](image_bytes=tf.constant(images))
        labels = [label.decode() for label in answer["label"].numpy()]
        print(json.dumps([answer["scores"].numpy().tolist(), labels, answer["is_positive"].numpy().tolist()]))
    """)
    finished = subprocess.run(
        [sys.executable, "-I", "-c", program, str(folder)],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    scores, labels, positive = json.loads(finished.stdout)
    expected = _ask(signatures, images)
    np.testing.assert_allclose(scores, expected["scores"], atol=1e-6)
    assert labels == [label.decode() for label in expected["label"]]
    assert positive == expected["is_positive"].tolist()
