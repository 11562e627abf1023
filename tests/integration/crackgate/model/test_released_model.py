"""A released model answers as its SavedModel does, through whichever engine."""

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from crackgate.contracts.card import NotAReleaseError
from crackgate.model import engine
from crackgate.model.released_model import Answer, ReleasedModel, load_released_model
from tests.helpers.toy_release import CLASSES, SIZE, THRESHOLD


def encoded(grey: int, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (SIZE, SIZE), (grey, grey, grey)).save(file, kind)
    return file.getvalue()


IMAGES = [encoded(grey, kind) for kind in ("PNG", "JPEG") for grey in range(0, 256, 12)]


@pytest.fixture(scope="module")
def model(toy_model: Path) -> ReleasedModel:
    return load_released_model(toy_model)


def of_signature(model: ReleasedModel, images: list[bytes]) -> list[Answer]:
    outputs = {
        name: value.numpy() for name, value in model.loaded.signatures["predict_images"](tf.constant(images)).items()
    }
    return [
        Answer(label.decode(), float(probability), tuple(scores.tolist()), bool(positive), error.decode())
        for label, probability, scores, positive, error in zip(
            *(outputs[name] for name in ("label", "probability", "scores", "is_positive", "error")), strict=True
        )
    ]


def check_same(answers: list[Answer], expected: list[Answer]) -> None:
    assert [(each.label, each.is_positive, each.error) for each in answers] == [
        (each.label, each.is_positive, each.error) for each in expected
    ]
    np.testing.assert_allclose([each.scores for each in answers], [each.scores for each in expected], atol=1e-4)
    np.testing.assert_allclose(
        [each.probability for each in answers], [each.probability for each in expected], atol=1e-4
    )


def test_what_it_says_of_itself(model: ReleasedModel, toy_model: Path) -> None:
    assert model.engine == "OpenVINO"
    assert (model.classes, model.image_size) == (CLASSES, SIZE)
    assert (model.positive_class, model.threshold) == ("Positive", THRESHOLD)
    assert model.version == "unreleased"
    assert model.folder == toy_model


@pytest.mark.parametrize("count", [0, 1, 2, 32, 33, 100])
def test_any_number_of_images_is_answered_as_by_the_signature(model: ReleasedModel, count: int) -> None:
    images = [*IMAGES, b"", b"no image", IMAGES[-1][:-30]] * 3
    chosen = images[-count:] if count else []
    check_same(model.answer(chosen), of_signature(model, chosen) if chosen else [])


def test_threads_may_ask_at_once(model: ReleasedModel) -> None:
    expected = model.answer(IMAGES)
    found: list[list[Answer]] = []

    def ask(step: int) -> None:
        found.append(
            [answer for first in range(0, len(IMAGES), step) for answer in model.answer(IMAGES[first:][:step])]
        )

    threads = [threading.Thread(target=ask, args=(step,)) for step in (1, 1, 2, 3, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(threads)
    for answers in found:
        check_same(answers, expected)


def test_an_engine_that_differs_is_not_used(toy_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_scores = engine._copy_scores
    monkeypatch.setattr(engine, "_copy_scores", lambda outputs: copy_scores(outputs) + np.float32(2e-4))
    model = load_released_model(toy_model)
    assert model.engine == "TensorFlow"
    assert model.answer(IMAGES) == of_signature(model, IMAGES)


def test_rounding_of_an_engine_turns_no_decision(model: ReleasedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    (expected,) = of_signature(model, [IMAGES[10]])
    below = np.float32(expected.scores[1])
    scorer: Any = model._scorer
    for threshold, wrong in ((below, below - 5e-5), (np.nextafter(below, 2, dtype=np.float32), below + 5e-5)):
        monkeypatch.setattr(scorer, "_decision", type(scorer._decision)(1, float(threshold)))
        scores = np.array([[1 - wrong, wrong]], np.float32)
        monkeypatch.setattr(scorer._network, "start", lambda _, scores=scores: lambda: scores.copy())
        (answer,) = model.answer([IMAGES[10]])
        assert answer.is_positive == (below >= threshold)


def test_decoded_images_are_scored_too(model: ReleasedModel) -> None:
    pixels = np.full((3, SIZE, SIZE, 3), [[[[10.0]]], [[[120.0]]], [[[245.0]]]], np.float32)
    expected = [answer.scores for answer in of_signature(model, [encoded(grey) for grey in (10, 120, 245)])]
    np.testing.assert_allclose(model.score_pixels(pixels), expected, atol=1e-4)


def test_early_releases_answer_through_their_signature(tmp_path: Path) -> None:
    class Early(tf.Module):
        """Fails as a whole when one image is broken."""

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def predict_images(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            dark = tf.map_fn(
                lambda image: 1 - tf.reduce_mean(tf.cast(tf.io.decode_image(image, 3), tf.float32)) / 255,
                image_bytes,
                fn_output_signature=tf.float32,
            )
            return {
                "label": tf.where(dark >= 0.5, "Positive", "Negative"),
                "scores": tf.stack([1 - dark, dark], axis=1),
                "probability": tf.maximum(dark, 1 - dark),
            }

    early = Early()
    tf.saved_model.save(early, str(tmp_path / "7"), signatures={"predict_images": early.predict_images})
    (tmp_path / "7" / "assets.extra").mkdir()
    (tmp_path / "7" / "assets.extra" / "classifier.json").write_text(
        f'{{"classes": ["Negative", "Positive"], "image_size": {SIZE}}}'
    )
    old = load_released_model(tmp_path / "7")
    assert (old.version, old.engine, old.positive_class) == ("7", "TensorFlow", None)
    torn = encoded(10)[:-30]
    answers = old.answer([encoded(10), b"no image", torn, encoded(245)])
    assert [answer.label for answer in answers] == ["Positive", "", "", "Negative"]
    assert answers[1] == Answer("", 0.0, (0.0, 0.0), None, "not a JPEG, PNG or BMP image")
    assert "damaged" in answers[2].error
    with pytest.raises(NotAReleaseError, match="early release"):
        old.score_pixels(np.zeros((1, SIZE, SIZE, 3), np.float32))


def test_folders_that_are_no_release_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAReleaseError, match="it has no saved_model"):
        load_released_model(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(NotAReleaseError, match="cannot be loaded"):
        load_released_model(tmp_path)
