"""The released artifact: two signatures, one answer, the same as the trained model's, wherever it is loaded."""

import io
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components import features
from trainer.decoding import decode_image
from trainer.options import TrainOptions
from trainer.serving import IMAGES_AT_ONCE, export_classifier
from trainer.transfer import assemble, build_head

CLASSES = ["Crack", "Größer", "Sound"]
SIZE = 32

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
    """The exported classifier."""
    folder = tmp_path_factory.mktemp("exported")
    images = keras.Input((SIZE, SIZE, 3))
    guarded = keras.Model(images, classifier(FewImagesAtOnce()(images)))
    export_classifier(guarded, CLASSES, SIZE, folder)
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
        height, width = rng.integers(20, 60, 2)
        pixels = np.clip(rng.uniform(0, 255, 3) + rng.normal(0, 60, (height, width, 3)), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, ("JPEG", "PNG", "BMP")[number % 3])
        images.append(buffer.getvalue())
    return images


@pytest.fixture(scope="module")
def images(encoded: list[bytes]) -> np.ndarray:
    """The same as training sees them."""
    return np.stack([decode_image(tf.constant(image), SIZE).numpy() for image in encoded])


def _example(encoded: bytes) -> bytes:
    """As ingest stores it; serving needs the image only, and ignores the rest."""
    feature = {
        features.ENCODED: tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
        features.CLASS_LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[1])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _ask(signatures: dict[str, Signature], encoded: list[bytes], name: str = "predict_images") -> Answer:
    argument = {"predict_images": "image_bytes", "serving_default": "examples"}[name]
    values = [_example(image) for image in encoded] if name == "serving_default" else encoded
    answer = signatures[name](**{argument: tf.constant(values, tf.string, shape=(len(values),))})
    return {key: value.numpy() for key, value in answer.items()}


@pytest.mark.parametrize(("name", "argument"), [("serving_default", "examples"), ("predict_images", "image_bytes")])
def test_each_signature_takes_strings_and_names_what_it_returns(
    name: str, argument: str, signatures: dict[str, Signature]
) -> None:
    signature = signatures[name]
    assert signature.structured_input_signature == ((), {argument: tf.TensorSpec([None], tf.string, name=argument)})
    outputs = {key: (spec.shape.as_list(), spec.dtype) for key, spec in signature.structured_outputs.items()}
    assert outputs == {
        "label": ([None], tf.string),
        "probability": ([None], tf.float32),
        "scores": ([None, len(CLASSES)], tf.float32),
    }


def test_there_are_two_signatures(folder: Path) -> None:
    assert sorted(tf.saved_model.load(str(folder)).signatures) == ["predict_images", "serving_default"]


def test_both_signatures_answer_alike(signatures: dict[str, Signature], encoded: list[bytes]) -> None:
    from_bytes, from_examples = (_ask(signatures, encoded, name) for name in ("predict_images", "serving_default"))
    for key in ("label", "probability", "scores"):
        np.testing.assert_array_equal(from_bytes[key], from_examples[key])


def test_scores_are_those_of_the_trained_model(
    signatures: dict[str, Signature], encoded: list[bytes], images: np.ndarray, classifier: keras.Model
) -> None:
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(classifier.predict(images, verbose=0)))
    # The images get different answers: else nothing would be shown.
    assert np.ptp(expected, axis=0).min() > 0.3
    np.testing.assert_allclose(_ask(signatures, encoded)["scores"], expected, atol=1e-5)


def test_label_and_probability_are_those_of_the_highest_score(
    signatures: dict[str, Signature], encoded: list[bytes]
) -> None:
    answer = _ask(signatures, encoded)
    labels = [label.decode() for label in answer["label"]]
    assert labels == [CLASSES[index] for index in answer["scores"].argmax(axis=1)]
    assert set(labels) == set(CLASSES)
    np.testing.assert_array_equal(answer["probability"], answer["scores"].max(axis=1))
    np.testing.assert_allclose(answer["scores"].sum(axis=1), 1, atol=1e-6)


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


def test_an_image_that_cannot_be_decoded_fails_the_request(
    signatures: dict[str, Signature], encoded: list[bytes]
) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        _ask(signatures, [encoded[0], b"not an image"])


def test_the_card_beside_the_model_names_the_classes_in_label_order(folder: Path) -> None:
    card = json.loads((folder / "assets.extra" / "classifier.json").read_text(encoding="utf-8"))
    assert card == {"classes": CLASSES, "image_size": SIZE}


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
        print(json.dumps([answer["scores"].numpy().tolist(), [label.decode() for label in answer["label"].numpy()]]))
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
    scores, labels = json.loads(finished.stdout)
    expected = _ask(signatures, images)
    np.testing.assert_allclose(scores, expected["scores"], atol=1e-6)
    assert labels == [label.decode() for label in expected["label"]]
