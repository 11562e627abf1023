"""The report of a model that finds dark lines, with a smudge that it takes for one and a line too faint for it."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.data_page.artifact import PAGE_FILE as DATA_PAGE_FILE
from crackgate.contracts import stored_example
from crackgate.contracts.evaluation import NotableImage, NotableImages
from crackgate.contracts.verdict import Verdict
from crackgate.model.calibration import Calibration
from crackgate.model.decision import Decision
from crackgate.report import files
from crackgate.report.content import Report
from crackgate.report.files import GATES_FILE, JSON_FILE, KEPT_FILE, PAGE_FILE, write_report
from crackgate.report.image_samples import draw
from crackgate.runs.summary import Summary
from tests.helpers.browser import Page, open_browser
from tests.helpers.filled_summary import CLASSES, POSITIVE, fill_summary
from trainer.export.signatures import export_classifier

SIDE = 32
SMUDGED, FAINT = "Negative/smudge & <b>.png", "Positive/faint.png"
# What the Evaluator hands on of this model.
NOTABLE = NotableImages(
    scored=42,
    misclassified=2,
    shown="misclassified",
    by_class={
        "Negative": [
            NotableImage(path=SMUDGED, actual="Negative", label=POSITIVE, scores={"Negative": 0.0, POSITIVE: 1.0})
        ],
        POSITIVE: [
            NotableImage(path=FAINT, actual=POSITIVE, label="Negative", scores={"Negative": 0.9, POSITIVE: 0.1})
        ],
    },
)
# Rows and columns of the smudge.
SMUDGE = slice(4, 8), slice(20, 28)


def _draw_surface(dark: tuple[slice, slice] | None, level: int = 20) -> np.ndarray:
    pixels = np.full((SIDE, SIDE, 3), 200, np.uint8)
    if dark is not None:
        pixels[dark] = level
    return pixels


def _surfaces() -> dict[str, np.ndarray]:
    line = slice(14, 18), slice(None)
    sound = {f"Negative/{number}.png": _draw_surface(None) for number in range(20)}
    cracked = {f"Positive/{number}.png": _draw_surface(line) for number in range(20)}
    return sound | cracked | {SMUDGED: _draw_surface(SMUDGE), FAINT: _draw_surface(line, level=40)}


def _write_examples(surfaces: dict[str, np.ndarray], folder: Path) -> None:
    (folder / "Split-test").mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(folder / "Split-test" / "data_tfrecord-00000-of-00001.gz"), options) as writer:
        for path, pixels in surfaces.items():
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            stored = {
                stored_example.ENCODED: buffer.getvalue(),
                stored_example.FILENAME: path.encode(),
                stored_example.CLASS_TEXT: path.partition("/")[0].encode(),
            }
            feature = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for name, value in stored.items()
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def _darkness_classifier() -> keras.Model:
    """How much darker than half of white each of 8 x 8 cells is, and on the whole: little is enough."""
    pixels = keras.Input((SIDE, SIDE, 3))
    cells = keras.layers.AveragePooling2D(4)(pixels)
    darkness = keras.layers.Conv2D(1, 1, activation="relu")
    backbone = keras.Model(pixels, darkness(cells), name="backbone")
    darkness.set_weights([np.full((1, 1, 3, 1), -1 / 384, np.float32), np.ones(1, np.float32)])
    images = keras.Input((SIDE, SIDE, 3))
    logits = keras.layers.Dense(2)
    classifier = keras.Model(images, logits(keras.layers.GlobalAveragePooling2D()(backbone(images))))
    # Darker than 0.01 on average is a crack.
    logits.set_weights([np.array([[-200, 200]], np.float32), np.array([2, -2], np.float32)])
    return classifier


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `examples`, the exported `model`, `run/classifier.keras` and `run/history.json`."""
    folder = tmp_path_factory.mktemp("trained")
    _write_examples(_surfaces(), folder / "examples")
    classifier = _darkness_classifier()
    export_classifier(
        classifier, CLASSES, SIDE, folder / "model", Calibration(1.0, (0.0, 0.0)), Decision((1,), threshold=0.4)
    )
    (folder / "run").mkdir()
    classifier.save(folder / "run" / "classifier.keras")
    (folder / "run" / "history.json").write_text(
        '{"head": {"loss": [0.5, 0.3], "accuracy": [0.7, 0.8], "val_loss": [0.5, 0.4], "val_accuracy": [0.7, 0.9]}, '
        '"fine_tune": {}, "fine_tune_kept": false}'
    )
    return folder


@pytest.fixture
def new_run(trained: Path, tmp_path: Path) -> Callable[[str], tuple[Summary, Path]]:
    """Makes the summary of a refused run of this model, and its folder."""

    def make(name: str) -> tuple[Summary, Path]:
        summary = fill_summary(Verdict.REFUSED)
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        for file in (tmp_path / DATA_PAGE_FILE, tmp_path / "run.log", folder / "summary.json"):
            file.write_text("here")
        summary.log = str(tmp_path / "run.log")
        assert summary.evaluation is not None
        summary.evaluation.notable_images = NOTABLE
        summary.outputs = {
            "examples": str(trained / "examples"),
            "model": str(trained / "model"),
            "keras_model": str(trained / "run" / "classifier.keras"),
            "history": str(trained / "run" / "history.json"),
            "data_page": str(tmp_path / DATA_PAGE_FILE),
        }
        return summary, folder

    return make


def test_the_heat_is_where_the_smudge_is(trained: Path) -> None:
    pictures = draw(NOTABLE, [], trained / "run" / "classifier.keras", trained / "examples", CLASSES, [POSITIVE])
    assert set(pictures) == {SMUDGED, FAINT}
    plain, heated = (_pixels(uri) for uri in pictures[SMUDGED][:2])
    changed = np.abs(heated - plain).sum(axis=2)
    inside = changed[SMUDGE].mean()
    assert inside > 5 * changed[16:].mean() and inside > 50


def test_a_missed_crack_has_the_map_of_its_own_class(trained: Path) -> None:
    arguments = NOTABLE, [], trained / "run" / "classifier.keras", trained / "examples", CLASSES
    plain, heated = (_pixels(uri) for uri in draw(*arguments, [POSITIVE])[FAINT][:2])
    changed = np.abs(heated - plain).sum(axis=2)
    assert changed[15:17].mean() > 50 > 5 * changed[24:].mean()
    # Nothing spoke for "Negative", its label: the weight on darkness is below zero.
    pictures = draw(*arguments, [])
    assert pictures[FAINT].image and not pictures[FAINT].heat_map


def _pixels(uri: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        return np.asarray(image, np.int16)


def test_the_pictures_are_drawn_once_and_again_when_the_code_has_changed(
    trained: Path, new_run: Callable[[str], tuple[Summary, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = []
    for name in ("first", "second"):
        summary, folder = new_run(name)
        write_report(summary, folder)
        pages.append(Report.model_validate_json((folder / JSON_FILE).read_text(encoding="utf-8")).notable_images)
        assert (folder / PAGE_FILE).read_text(encoding="utf-8").count("data:image/jpeg") == 4
        written = (trained / KEPT_FILE).stat().st_mtime_ns
    assert pages[0] == pages[1] and pages[0] is not None
    monkeypatch.setattr(files, "code_digest", lambda *_: "edited")
    write_report(*new_run("third"))
    assert (trained / KEPT_FILE).stat().st_mtime_ns > written
    (trained / KEPT_FILE).write_text('{"of": "another version"}')
    write_report(*new_run("fourth"))
    assert '"edited"' in (trained / KEPT_FILE).read_text()


def test_what_cannot_be_drawn_costs_only_the_images(
    trained: Path, new_run: Callable[[str], tuple[Summary, Path]]
) -> None:
    (trained / KEPT_FILE).unlink(missing_ok=True)
    summary, folder = new_run("broken")
    summary.outputs["keras_model"] = str(folder / "absent.keras")
    write_report(summary, folder)
    page = (folder / PAGE_FILE).read_text(encoding="utf-8")
    assert "The images cannot be shown: ValueError" in page and "Positive/faint.png" in page
    assert "recall of Positive" in page
    assert not (trained / KEPT_FILE).exists(), "what is incomplete is not kept"


def test_other_images_of_the_same_model_are_drawn_anew(
    trained: Path, new_run: Callable[[str], tuple[Summary, Path]]
) -> None:
    write_report(*new_run("first"))
    summary, folder = new_run("second")
    assert summary.evaluation is not None
    summary.evaluation.notable_images = NOTABLE.model_copy(update={"by_class": {**NOTABLE.by_class, POSITIVE: []}})
    write_report(summary, folder)
    assert "faint.png" not in (trained / KEPT_FILE).read_text(encoding="utf-8")


def test_a_model_from_elsewhere_is_shown_without_heat_maps(
    trained: Path, new_run: Callable[[str], tuple[Summary, Path]]
) -> None:
    (trained / KEPT_FILE).unlink(missing_ok=True)
    summary, folder = new_run("theirs")
    del summary.outputs["keras_model"]
    assert summary.evaluation is not None
    sound = NotableImage(path="Negative/3.png", actual="Negative", label="Negative", scores={"Negative": 1.0})
    listed = {"misclassified": NOTABLE.by_class[POSITIVE], "unfamiliar": [sound]}
    summary.evaluation.notable_images = NOTABLE.model_copy(update={"listed": listed})
    write_report(summary, folder)
    (trained / KEPT_FILE).unlink()
    page = (folder / PAGE_FILE).read_text(encoding="utf-8")
    shown, rows = page.split('class="sortable"')
    assert shown.count("data:image/jpeg") == 2 and "heat map" not in page
    assert rows.count("data:image/jpeg") == 2, "what is only listed, and what is shown above, too"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


def test_a_browser_shows_the_report_without_complaint_at_any_width_in_both_schemes(
    new_run: Callable[[str], tuple[Summary, Path]], browser: Page, tmp_path: Path
) -> None:
    summary, folder = new_run("browsed")
    # Words without a place to break, as paths and patterns are.
    summary.reasons = ["x" * 400]
    write_report(summary, folder)
    page = folder / PAGE_FILE
    look = "({wide: document.documentElement.scrollWidth, ground: getComputedStyle(document.body).backgroundColor, "
    look += "links: [...document.querySelectorAll('a')].map(link => link.getAttribute('href')), "
    look += (
        "drawn: [...document.images].filter(image => image.currentSrc.includes('svg') && image.naturalWidth).length})"
    )
    grounds = set()
    for width, dark in ((390, False), (1280, True)):
        browser.look(width, dark)
        browser.open(page.as_uri())
        browser.take_picture(tmp_path / "page.png")
        assert (browser.console, browser.asked) == ([], [])
        with Image.open(tmp_path / "page.png") as shot:
            assert len(shot.convert("RGB").getcolors(maxcolors=1 << 24) or []) > 50
        seen = browser.evaluate(look)
        assert seen["wide"] == width, "the page itself never scrolls sideways"
        assert seen["drawn"] == 6
        grounds.add(seen["ground"])
    assert len(grounds) == 2
    files = [link for link in seen["links"] if not link.startswith("#")]
    assert {JSON_FILE, GATES_FILE, "summary.json", "../../run.log", f"../../{DATA_PAGE_FILE}"} == set(files)
    for file in files:
        assert (folder / file).is_file()
        browser.open((folder / file).resolve().as_uri())
        assert browser.console == [], "the browser shows what the link leads to"


def test_the_browser_would_tell_of_a_page_that_is_too_wide(browser: Page, tmp_path: Path) -> None:
    page = tmp_path / "wide.html"
    page.write_text("<!doctype html><body><div style='width: 700px'>wide</div></body>")
    browser.look(390)
    browser.open(page.as_uri())
    assert browser.evaluate("document.documentElement.scrollWidth") > 700
