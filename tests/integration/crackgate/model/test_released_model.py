"""A released model answers as its SavedModel does, through whichever engine."""

import io
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from crackgate.contracts.answer import Answer
from crackgate.contracts.card import NotAReleaseError
from crackgate.contracts.engine_choice import EngineChoice
from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.model_files import (
    CARD_FILE,
    MODEL_VERSION_FILE,
    NETWORK_CHECK_FILE,
    NETWORK_FILE,
    NETWORK_FILES,
)
from crackgate.images.image_file import canonical_image
from crackgate.model import network
from crackgate.model.decision import Decision
from crackgate.model.outputs import Outputs, as_outputs
from crackgate.model.released_model import ReleasedModel, load_released_model
from crackgate.releases import Lineage, Release, production_version, publish, remove_old_versions, roll_back
from tests.helpers.image_files import SIXTEEN_BITS, SOURCES, grey_tiff
from tests.helpers.toy_release import CLASSES, SIZE, THRESHOLD, export_toy, release


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
        Answer(
            label=outputs["label"][row].decode(),
            probability=float(outputs["probability"][row]),
            scores=tuple(outputs["scores"][row].tolist()),
            is_positive=bool(outputs["is_positive"][row]),
            unfamiliarity=float(outputs["unfamiliarity"][row]) if "unfamiliarity" in outputs else None,
            model_version=outputs["model_version"][row].decode(),
            error=outputs["error"][row].decode(),
        )
        for row in range(len(images))
    ]


def check_same(answers: list[Answer], expected: list[Answer]) -> None:
    assert [(each.label, each.is_positive, each.error) for each in answers] == [
        (each.label, each.is_positive, each.error) for each in expected
    ]
    np.testing.assert_allclose([each.scores for each in answers], [each.scores for each in expected], atol=1e-4)
    for name in ("probability", "unfamiliarity"):
        found, wanted = ([getattr(each, name) for each in some] for some in (answers, expected))
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


def test_what_it_says_of_itself(model: ReleasedModel, toy_model: Path) -> None:
    assert model.engine == "OpenVINO"
    assert (model.classes, model.image_size) == (CLASSES, SIZE)
    assert (model.positive_classes, model.threshold) == (("Positive",), THRESHOLD)
    assert model.version == "unreleased"
    assert model.folder == toy_model


@pytest.mark.parametrize("count", [0, 1, 2, 32, 33, 100])
def test_any_number_of_images_is_answered_as_by_the_signature(model: ReleasedModel, count: int) -> None:
    images = [*IMAGES, *IMAGES, *IMAGES]
    chosen = images[-count:] if count else []
    check_same(model.answer(chosen), of_signature(model, chosen) if chosen else [])


@pytest.mark.parametrize("name", SOURCES)
def test_every_format_is_answered_as_what_ingest_stores(model: ReleasedModel, name: str) -> None:
    image = Image.open(io.BytesIO(SOURCES[name]))
    assert min(image.size) >= ImageLimits().min_side or name == "PNG of one column"
    (answer,) = model.answer([SOURCES[name]])
    if name == "PNG of one column":
        assert answer.error == "too small: 1x7 pixels, each side needs 32"
    else:
        check_same([answer], of_signature(model, [canonical_image(SOURCES[name], ImageLimits()).encoded]))
        assert not answer.error


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "empty file: 0 bytes"),
        (b"no image", "not an image: starts with b'no image'"),
        (SOURCES["RGB JPEG"][:-300] + b"\xff\xd9", "truncated: the JPEG's scan is truncated"),
        (grey_tiff(SIXTEEN_BITS >> 4), "format not supported: 16-bit samples fill 0 to 4095"),
    ],
)
def test_what_ingest_refuses_fails_its_own_row_with_that_reason(model: ReleasedModel, data: bytes, error: str) -> None:
    before, answer, after = model.answer([IMAGES[0], data, IMAGES[-1]])
    assert answer.error.startswith(error)
    assert (answer.label, answer.probability, answer.scores, answer.is_positive) == ("", 0.0, (0.0, 0.0), True)
    check_same([before, after], of_signature(model, [IMAGES[0], IMAGES[-1]]))


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


def old_release(toy_model: Path, folder: Path) -> Path:
    """As crackgate 0.1.0 released it: the SavedModel alone."""
    shutil.copytree(toy_model, folder, ignore=shutil.ignore_patterns("network*"))
    return folder


def test_releases_without_a_stored_network_go_on(toy_model: Path, tmp_path: Path) -> None:
    model = load_released_model(old_release(toy_model, tmp_path / "old"))
    assert model.engine == "OpenVINO"
    check_same(model.answer(IMAGES), of_signature(model, IMAGES))


def test_an_engine_that_differs_is_not_used(toy_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = old_release(toy_model, tmp_path / "old")
    # An engine gives arrays, and TensorFlow tensors.
    for off in (Outputs(np.float32(2e-5), np.float32(0)), Outputs(np.float32(0), np.float32(2e-3))):

        def shifted(outputs: Any, off: Outputs = off) -> Outputs:
            scores, unfamiliarity = as_outputs(outputs)
            engines = isinstance(outputs[0], np.ndarray)
            return Outputs(scores + engines * off.scores, unfamiliarity + engines * off.unfamiliarity)

        monkeypatch.setattr(network, "as_outputs", shifted)
        model = load_released_model(folder)
        assert model.engine == "TensorFlow"
        assert model.answer(IMAGES) == of_signature(model, IMAGES)


def test_images_unlike_the_training_images_are_unfamiliar(model: ReleasedModel) -> None:
    coloured = []
    for colour in ((200, 40, 40), (30, 90, 200), (128, 128, 190)):
        file = io.BytesIO()
        Image.new("RGB", (SIZE, SIZE), colour).save(file, "PNG")
        coloured.append(file.getvalue())
    answers = model.answer([*IMAGES, *coloured, b"no image"])
    assert [answer.is_unfamiliar for answer in answers] == [False] * len(IMAGES) + [True] * 3 + [False]
    assert answers[-1].unfamiliarity == 0 and answers[-1].record(CLASSES)["unfamiliarity"] is None
    check_same(answers[:-1], of_signature(model, [*IMAGES, *coloured]))


def test_a_release_that_does_not_know_its_training_images_cannot_tell(tmp_path: Path) -> None:
    export_toy(tmp_path, knows_grey=False)
    model = load_released_model(tmp_path)
    assert model.engine == "OpenVINO" and model.familiarity is None
    answers = model.answer([IMAGES[0], b"no image"])
    assert [answer.unfamiliarity for answer in answers] == [None, None]
    assert not any(answer.is_unfamiliar for answer in answers)
    assert answers[0].scores == pytest.approx(of_signature(model, IMAGES[:1])[0].scores, abs=1e-4)


def test_rounding_of_an_engine_turns_no_familiarity(model: ReleasedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    (expected,) = of_signature(model, [IMAGES[10]])
    for rounded in (0.9995, 1.0005):
        outputs = Outputs(np.array([expected.scores], np.float32), np.array([rounded], np.float32))
        monkeypatch.setattr(model._network, "start", lambda _, outputs=outputs: lambda: outputs)
        (answer,) = model.answer([IMAGES[10]])
        assert answer.unfamiliarity == expected.unfamiliarity


def test_tensorflow_answers_alone_where_it_is_asked_to(toy_model: Path) -> None:
    model = load_released_model(toy_model, EngineChoice.TENSORFLOW)
    assert model.engine == "TensorFlow"
    assert model.answer(IMAGES) == of_signature(model, IMAGES)


@pytest.mark.parametrize("fault", ["other scores", "damaged graph", "no photographs"])
def test_a_stored_network_that_does_not_work_here_is_left_alone(
    fault: str, toy_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(toy_model, folder)
    if fault == "other scores":
        with np.load(folder / NETWORK_CHECK_FILE) as check:
            stored = dict(check)
        np.savez(folder / NETWORK_CHECK_FILE, **stored | {"scores": stored["scores"] + np.float32(2e-5)})
    elif fault == "damaged graph":
        (folder / NETWORK_FILE).write_text("<net></net>")
    else:
        (folder / NETWORK_CHECK_FILE).unlink()
    with caplog.at_level("INFO", "crackgate"):
        model = load_released_model(folder)
    assert "the stored network cannot be used here" in caplog.text
    check_same(model.answer(IMAGES), of_signature(model, IMAGES))


@pytest.mark.parametrize("name", [*map(str, NETWORK_FILES), "assets.extra/classifier.json"])
def test_a_version_whose_own_files_were_changed_is_refused(name: str, serving_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "1"
    shutil.copytree(production_version(serving_dir), folder)
    content = bytearray((folder / name).read_bytes())
    place = content.rindex(b"5") if name.endswith(".json") else len(content) // 2
    content[place] = ord("6") if name.endswith(".json") else content[place] ^ 1
    (folder / name).write_bytes(content)
    for engine in EngineChoice:
        with pytest.raises(NotAReleaseError, match=f"is not as it was released: {name} was altered"):
            load_released_model(folder, engine)
    (folder / name).unlink()
    with pytest.raises(NotAReleaseError, match=name):
        load_released_model(folder)


@pytest.mark.parametrize("name", [str(CARD_FILE), str(MODEL_VERSION_FILE)])
def test_a_fifo_in_place_of_a_file_is_not_waited_for(name: str, serving_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "1"
    shutil.copytree(production_version(serving_dir), folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(NotAReleaseError, match="a FIFO, not a regular file"):
        load_released_model(folder)
    # Nor is a file of a terabyte read whole.
    (folder / name).unlink()
    with (folder / name).open("wb") as content:
        content.truncate(2**40)
    with pytest.raises(NotAReleaseError, match=r"cannot read|is no version"):
        load_released_model(folder)


def test_a_savedmodel_that_was_changed_before_it_is_needed_is_refused(serving_dir: Path, tmp_path: Path) -> None:
    released, other = tmp_path / "1", tmp_path / "2"
    for folder in (released, other):
        shutil.copytree(production_version(serving_dir), folder)
    model = load_released_model(released)
    with (other / "saved_model.pb").open("ab") as content:
        content.write(bytes(1))
    # With a manifest made anew, as someone who can write there would.
    other = publish(other, tmp_path / "serving", Release(lineage=Lineage(pipeline="toy", run_id="toy")))
    shutil.copytree(other, released, dirs_exist_ok=True)
    with pytest.raises(NotAReleaseError, match=r"is not as it was released: .*saved_model\.pb has [\d,]+ bytes"):
        assert model.loaded


def test_a_version_in_use_is_withdrawn_without_harm_and_never_retained_away(toy_model: Path, tmp_path: Path) -> None:
    older, newer = release(toy_model, tmp_path), release(toy_model, tmp_path)
    in_use = load_released_model(tmp_path / str(newer))
    roll_back(tmp_path, None, "somebody", "to try it")
    assert in_use.place == tmp_path / "withdrawn" / str(newer)
    # TensorFlow reads the files now.
    assert in_use.loaded.signatures
    shutil.rmtree(in_use.place)
    with pytest.raises(NotAReleaseError, match=r"was removed while it was in use: ask again, for the version in prod"):
        _ = in_use.place
    model = load_released_model(tmp_path / str(older))
    release(toy_model, tmp_path)
    assert remove_old_versions(tmp_path, keep=1) == []
    del model
    assert remove_old_versions(tmp_path, keep=1) == [older]


def test_the_savedmodels_refusal_of_a_doubtful_image_is_its_answer(tmp_path: Path) -> None:
    export_toy(tmp_path, max_pixels=SIZE * SIZE - 1)
    card = json.loads((tmp_path / CARD_FILE).read_text())
    card["limits"]["max_pixels"] = SIZE * SIZE
    (tmp_path / CARD_FILE).write_text(json.dumps(card))
    (sure,) = load_released_model(tmp_path).answer([IMAGES[10]])
    assert sure.error == ""
    (tmp_path / CARD_FILE).write_text(json.dumps(card | {"threshold": sure.scores[1]}))
    (doubtful,) = load_released_model(tmp_path).answer([IMAGES[10]])
    assert doubtful.error.startswith("too large: 1024 pixels") and doubtful.is_positive and not any(doubtful.scores)


def test_a_network_that_was_added_to_a_release_is_refused(toy_model: Path, tmp_path: Path) -> None:
    number = release(old_release(toy_model, tmp_path / "old"), tmp_path / "serving")
    folder = tmp_path / "serving" / str(number)
    assert load_released_model(folder).engine == "OpenVINO"
    for name in NETWORK_FILES:
        shutil.copyfile(toy_model / name, folder / name)
    with pytest.raises(NotAReleaseError, match=r"network\.bin was added: the manifest does not name it"):
        load_released_model(folder)


def test_rounding_of_an_engine_turns_no_decision(model: ReleasedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    (expected,) = of_signature(model, [IMAGES[10]])
    below = np.float32(expected.scores[1])
    for threshold, wrong in ((below, below - 5e-6), (np.nextafter(below, 2, dtype=np.float32), below + 5e-6)):
        monkeypatch.setattr(model, "decision", Decision((1,), float(threshold)))
        scores = np.array([[1 - wrong, wrong]], np.float32)
        monkeypatch.setattr(
            model._network, "start", lambda _, scores=scores: lambda: Outputs(scores.copy(), np.zeros(1))
        )
        (answer,) = model.answer([IMAGES[10]])
        assert answer.is_positive == (below >= threshold)


def test_decoded_images_are_scored_too(model: ReleasedModel) -> None:
    pixels = np.full((3, SIZE, SIZE, 3), [[[[10.0]]], [[[120.0]]], [[[245.0]]]], np.float32)
    expected = [answer.scores for answer in of_signature(model, [encoded(grey) for grey in (10, 120, 245)])]
    np.testing.assert_allclose(model.examine_pixels(pixels).scores, expected, atol=1e-4)


def test_folders_that_are_no_release_are_refused(toy_model: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAReleaseError, match="it has no saved_model"):
        load_released_model(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(NotAReleaseError, match="no model that crackgate exported"):
        load_released_model(tmp_path)
    damaged = old_release(toy_model, tmp_path / "damaged")
    (damaged / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(NotAReleaseError, match="cannot be loaded"):
        load_released_model(damaged)


def test_models_that_crackgate_did_not_train_or_that_lack_a_file_are_refused(toy_model: Path, tmp_path: Path) -> None:
    foreign = old_release(toy_model, tmp_path / "foreign")
    tf.saved_model.save(tf.Module(), str(tmp_path / "module"))
    shutil.copyfile(tmp_path / "module" / "saved_model.pb", foreign / "saved_model.pb")
    shutil.rmtree(foreign / "variables")
    shutil.copytree(tmp_path / "module" / "variables", foreign / "variables")
    with pytest.raises(NotAReleaseError, match="no function 'decode' and no 'score_pixels': crackgate did not train"):
        load_released_model(foreign)
    shutil.copytree(toy_model, tmp_path / "incomplete")
    (tmp_path / "incomplete" / MODEL_VERSION_FILE).unlink()
    with pytest.raises(NotAReleaseError, match=f"no model that crackgate exported: .*{MODEL_VERSION_FILE}"):
        load_released_model(tmp_path / "incomplete")
