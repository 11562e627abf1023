"""Batch scoring and whole photographs with a real network: ImageNet features and a head fitted to drawn cracks."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import keras
import numpy as np
import psutil
import pytest
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import ExifTags, Image, ImageDraw, ImageFilter
from pyarrow import parquet
from scipy import ndimage
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from crackgate.config.beam import BeamOptions
from crackgate.config.train import TrainOptions
from crackgate.contracts.engine_choice import EngineChoice
from crackgate.contracts.model_files import CARD_FILE
from crackgate.contracts.scale import TrainedScale
from crackgate.model.calibration import Calibration
from crackgate.model.decision import Decision
from crackgate.model.familiarity import fit_familiarity
from crackgate.model.released_model import ReleasedModel, load_released_model
from crackgate.releases import check_trusted, publish
from crackgate.releases.signatures import PublicKey, Signer
from crackgate.storage.cache import listed_once
from crackgate_cli.main import app
from crackgate_cli.predict_on_beam import predict_on_beam
from serving.batch.formats import Format
from serving.batch.inputs import check_inputs, find_images
from serving.inspection.inspection import Inspection, InspectionSettings
from serving.inspection.inspector import Inspector
from serving.inspection.measures import measure
from serving.inspection.summaries import summaries
from tests.helpers.browser import open_browser
from tests.helpers.pushing import RELEASE
from tests.helpers.s3_server import BUCKET, s3_server
from trainer.export.signatures import export_classifier
from trainer.network.backbones import build_backbone
from trainer.network.classifier import assemble, build_head
from trainer.network.texture import texture_of

SIZE, TILE = 64, 96
CLASSES = ["Negative", "Positive"]
# From the left edge to the right one, at a third of the height.
CRACK = [(0, 190), (250, 210), (420, 180), (700, 215)]


def surface(width: int, height: int, seed: int, crack: list[tuple[int, int]] | None = None) -> Image.Image:
    """Concrete-like noise, and a dark line through the given points."""
    rng = np.random.default_rng(seed)
    grey = 165 + 5 * ndimage.gaussian_filter(rng.normal(0, 9, (height, width)), 3) + rng.normal(0, 4, (height, width))
    image = Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    if crack:
        ImageDraw.Draw(image).line(crack, (40, 38, 36), 5, joint="curve")
    return image.filter(ImageFilter.GaussianBlur(0.7))


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that tells drawn cracks from sound surfaces."""
    rng = np.random.default_rng(0)
    images, labels = [], []
    for seed in range(160):
        ends = [tuple(rng.integers(0, TILE, 2)) for _ in range(2)]
        if np.hypot(*np.subtract(*ends)) < TILE / 2:
            ends = [(0, int(rng.integers(TILE))), (TILE, int(rng.integers(TILE)))]
        labels.append(seed % 2)
        tile = surface(TILE, TILE, seed, ends if seed % 2 else None)
        images.append(np.asarray(tile.resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float32))
    backbone = build_backbone("efficientnet-lite0", SIZE, "imagenet")
    network = keras.Model(backbone.input, [backbone.output, texture_of(backbone)])
    maps, textures = network.predict(np.stack(images), verbose=0)
    features, half = maps.mean(axis=(1, 2)), len(images) // 2
    familiarity = fit_familiarity(textures[:half, 0, 0], textures[half:, 0, 0])
    fitted = LogisticRegression(C=0.1, max_iter=1000).fit(features, labels)
    head = build_head(features.shape[1], 2, TrainOptions(seed=0))
    head.set_weights([np.hstack([-fitted.coef_.T, fitted.coef_.T]) / 2, np.r_[-1, 1] * fitted.intercept_ / 2])
    folder = tmp_path_factory.mktemp("release") / "1"
    calibration, decision = Calibration(1.0, (0.0, 0.0)), Decision((1,), 0.5)
    classifier = assemble(backbone, head)
    scale = TrainedScale.of(np.array([[TILE, TILE]]))
    export_classifier(
        classifier, CLASSES, SIZE, folder, calibration, decision, None, scale, backbone, head, familiarity
    )
    keras.backend.clear_session()
    return folder


@pytest.fixture(scope="module")
def model(release: Path) -> ReleasedModel:
    return load_released_model(release)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cracked photograph, one sound one, one smaller than a tile, one of a crack that EXIF turns, one damaged."""
    folder = tmp_path_factory.mktemp("photographs")
    placed, lost = Image.Exif(), Image.Exif()
    placed[ExifTags.IFD.GPSInfo] = {1: "S", 2: (33.0, 51.0, 24.5), 3: "E", 4: (151.0, 12.0, 40.0)}
    placed[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "2026:05:01 10:11:12"}
    lost[ExifTags.IFD.GPSInfo] = {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}
    surface(700, 500, 1000, CRACK).save(folder / "cracked.jpg", quality=92, exif=placed)
    surface(700, 500, 1001).save(folder / "sound.png", exif=lost)
    surface(60, 70, 1002, [(0, 30), (60, 40)]).save(folder / "small.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    surface(700, 500, 1000, CRACK).save(folder / "turned.jpg", quality=92, exif=exif)
    (folder / "damaged.jpg").write_bytes((folder / "cracked.jpg").read_bytes()[:3000])
    return folder


class Inspected(NamedTuple):
    """The command's output, its exit code, and its standard error."""

    output: Path
    exit_code: int
    said: str


@pytest.fixture(scope="module")
def inspected(release: Path, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Inspected:
    output = tmp_path_factory.mktemp("inspected") / "new"
    command = ["inspect", str(photographs), "--model", str(release), "-o", str(output)]
    result = CliRunner().invoke(app, command)
    return Inspected(output, result.exit_code, result.stderr)


def rows_by_name(output: Path) -> dict[str, dict[str, object]]:
    content = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    return {Path(row["photograph"]).name: row for row in content["photographs"]}


def test_cracks_are_found_where_they_were_drawn_and_nowhere_else(inspected: Inspected) -> None:
    output, exit_code, _ = inspected
    assert exit_code == 1, "one photograph is damaged"
    rows = rows_by_name(output)
    cracked, sound, turned, damaged = (rows[name] for name in ("cracked.jpg", "sound.png", "turned.jpg", "damaged.jpg"))
    with (output / str(cracked["files"]) / "tiles.csv").open(newline="") as file:
        tiles = list(csv.DictReader(file))
    crossed = [tile for tile in tiles if int(tile["y_min"]) < 180 and int(tile["y_max"]) > 215]
    far = [tile for tile in tiles if int(tile["y_min"]) > 225 or int(tile["y_max"]) < 170]
    assert np.mean([tile["is_positive"] == "true" for tile in crossed]) > 0.9
    assert np.mean([tile["is_positive"] == "true" for tile in far]) < 0.02
    assert cracked["regions"] == 1 and 12 <= cracked["longest_run_tiles"] <= 16  # type: ignore[operator]
    assert 0.1 < cracked["positive_tile_share"] < 0.35  # type: ignore[operator]
    assert sound["is_positive"] is False and sound["positive_tile_share"] == 0 and sound["error"] is None
    assert rows["small.png"]["is_positive"] is True and rows["small.png"]["tiles"] == 1
    assert (turned["width"], turned["height"]) == (500, 700)
    assert turned["positive_tile_share"] == pytest.approx(cracked["positive_tile_share"], abs=0.05)
    assert damaged["files"] is damaged["positive_tile_share"] is None and "truncated" in str(damaged["error"])


def test_tiles_have_the_release_s_scale_and_the_end_is_a_count(inspected: Inspected) -> None:
    settings = json.loads((inspected.output / "summary.json").read_text(encoding="utf-8"))["settings"]
    assert settings["tile_px"] == TILE
    places, end = inspected.said.splitlines()[-2:]
    assert end.startswith("5 photographs: 3 with cracks, 1 not inspected: ")
    assert places == f"1 of 5 photographs with a GPS position: {inspected.output / 'findings.geojson'}"


def test_a_hostile_name_ends_nothing(release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in (b"new\nline.png", b"caf\xe9.png", "\u202ecrack.png".encode()):
        surface(150, 120, 7, [(0, 40), (150, 60)]).save(folder / os.fsdecode(name))
    surface(TILE, TILE, 8).save(folder / "a.png")
    model = ["--model", str(release), "-o"]
    found = CliRunner().invoke(app, ["inspect", str(folder), *model, str(tmp_path / "found")])
    assert found.exit_code == 0 and "4 photographs: 3 with cracks, 0 not inspected" in found.stderr
    rows = CliRunner().invoke(app, ["predict", str(folder), *model, str(tmp_path / "rows.jsonl")])
    assert rows.exit_code == 1
    sound, *others = map(json.loads, (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines())
    assert sound["image"] == f"{folder}/a.png" and sound["error"] is None and len(others) == 3
    assert all(row["error"].startswith("out of scale: 150x120 pixels") for row in others)


def test_a_photograph_has_the_same_measures_whatever_came_before_it(
    model: ReleasedModel, photographs: Path, tmp_path: Path
) -> None:
    files = [photographs / name for name in ("cracked.jpg", "sound.png", "small.png", "turned.jpg")]
    found = []
    for number, order in enumerate((files, files[::-1], files[2:] + files[:2])):
        folder = tmp_path / str(number)
        folder.mkdir()
        rows = Inspector(model, TILE, 0.5).inspect(order, folder)
        found.append({row.photograph: (row.measures, tiles(folder / str(row.files))) for row in rows})
    assert found[0] == found[1] == found[2]


def tiles(folder: Path) -> str:
    return (folder / "tiles.csv").read_text(encoding="utf-8")


def test_a_tile_of_another_scale_is_noted(release: Path, tmp_path: Path) -> None:
    surface(TILE, TILE, 8).save(tmp_path / "a.png")
    for tile, noted in ((TILE, False), (2 * TILE, True)):
        command = ["inspect", str(tmp_path / "a.png"), "--model", str(release), "--tile", str(tile)]
        result = CliRunner().invoke(app, [*command, "-o", str(tmp_path / str(tile))])
        assert result.exit_code == 0
        assert ("tiles of 192 pixels are right only where" in result.stderr) is noted


def test_a_photograph_out_of_scale_is_no_sound_one(release: Path, photographs: Path, tmp_path: Path) -> None:
    command = ["predict", str(photographs / "cracked.jpg"), str(photographs / "sound.png"), "--model", str(release)]
    result = CliRunner().invoke(app, [*command, "--fail-on", "crack", "-o", str(tmp_path / "rows.jsonl")])
    assert result.exit_code == 1 and "2 images: 0 Negative, 0 Positive, 2 errors" in result.stderr
    for line in (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert row["error"].startswith("out of scale: 700x500 pixels, allowed are sides of 64 to 144")
        assert "'crackgate inspect' looks at a larger photograph" in row["error"] and row["label"] is None


@pytest.mark.parametrize("command", ["predict", "inspect"])
def test_a_folder_without_a_file_is_a_wrong_one(command: str, release: Path, tmp_path: Path) -> None:
    (tmp_path / "mount" / "inner").mkdir(parents=True)
    output = tmp_path / ("rows.csv" if command == "predict" else "found")
    for argument, said in (("mount", "there is no file to read in"), ("*.jpg", "no pattern that matches one")):
        result = CliRunner().invoke(
            app, [command, f"{tmp_path}/{argument}", "--model", str(release), "-o", str(output)]
        )
        assert result.exit_code == 2 and said in result.stderr and len(result.stderr.splitlines()) == 1
        assert not output.exists()


def test_photographs_in_a_bucket_are_scored_and_inspected_as_files_are(
    release: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"site A/{file.name}": file.read_bytes() for file in photographs.iterdir()}
    tiles = {}
    for number in range(4):
        surface(TILE, TILE, number, CRACK[:2]).save(tmp_path / f"#{number}%.png")
        tiles[f"tiles/#{number}%.png"] = (tmp_path / f"#{number}%.png").read_bytes()
    with s3_server(files | tiles | {"tiles/bad.jpg": b"no image"}) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        url, model = f"s3://{BUCKET}", ["--model", str(release), "-o"]
        local = CliRunner().invoke(app, ["predict", f"{tmp_path}/*.png", *model, str(tmp_path / "local.parquet")])
        assert local.exit_code == 0
        expected = parquet.read_table(tmp_path / "local.parquet").to_pylist()
        bucket = ["predict", f"{url}/tiles/", *model, str(tmp_path / "rows.parquet")]
        assert CliRunner().invoke(app, bucket).exit_code == 1, "one object could not be scored"
        rows = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
        assert [row["image"] for row in rows] == [f"{url}/tiles/#{number}%.png" for number in range(4)] + [
            f"{url}/tiles/bad.jpg"
        ]
        for row, other in zip(rows, expected, strict=False):
            assert row | {"image": ""} == other | {"image": ""}
        # Beam's workers list and read the bucket themselves.
        command = ["predict", f"{url}/tiles", *model, str(tmp_path / "shards"), "--format", "jsonl", "--beam"]
        assert CliRunner().invoke(app, command).exit_code == 1
        lines = [line for shard in tmp_path.glob("shards/*.jsonl") for line in shard.read_text().splitlines()]
        assert sorted(json.loads(line)["image"] for line in lines) == [row["image"] for row in rows]

        photograph = ["inspect", f"{url}/site A/cracked.jpg", *model, str(tmp_path / "found")]
        assert CliRunner().invoke(app, photograph).exit_code == 0
        row = rows_by_name(tmp_path / "found")["cracked.jpg"]
        assert row["photograph"] == f"{url}/site A/cracked.jpg"
        wrong = CliRunner().invoke(app, ["predict", f"{url}/none", *model, str(tmp_path / "none.csv")])
        assert wrong.exit_code == 2 and f"no object has the prefix '{url}/none'" in wrong.stderr
        with listed_once():
            # As a command does, which looks for objects first and reads them later.
            check_inputs([f"{url}/tiles"])
            server.stop()
            assert len(list(find_images([f"{url}/tiles"]))) == len(rows)
    gone = CliRunner().invoke(app, ["predict", f"{url}/tiles", *model, str(tmp_path / "none.csv")])
    assert gone.exit_code == 2 and f"cannot list '{url}/tiles'" in gone.stderr


def test_unfamiliar_images_stop_a_script_that_asks_for_it(release: Path, tmp_path: Path) -> None:
    surface(TILE, TILE, 4000).save(tmp_path / "sound.png")
    noise = np.random.default_rng(0).integers(0, 256, (TILE, TILE, 3), np.uint8)
    (tmp_path / "more").mkdir()
    Image.fromarray(noise).save(tmp_path / "more" / "noise.png")
    command = ["predict", "--model", str(release), "--fail-on", "unfamiliar", "-o", str(tmp_path / "rows.jsonl")]
    sound = CliRunner().invoke(app, [*command, str(tmp_path / "sound.png")])
    assert sound.exit_code == 0 and "; 0 unlike the training images" in sound.stderr
    both = CliRunner().invoke(app, [*command, str(tmp_path / "sound.png"), str(tmp_path / "more")])
    assert both.exit_code == 5 and "; 1 unlike the training images" in both.stderr
    assert "--fail-on: there are such images: 1 unfamiliar" in both.stderr
    rows = map(json.loads, (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines())
    assert [row["unfamiliarity"] > 1 for row in rows] == [False, True]


def test_a_release_that_cannot_tell_is_no_answer_to_fail_on_unfamiliar(release: Path, tmp_path: Path) -> None:
    older = shutil.copytree(release, tmp_path / "older")
    file = older / CARD_FILE
    card = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({name: value for name, value in card.items() if name != "familiarity"}))
    surface(TILE, TILE, 4000).save(tmp_path / "sound.png")
    command = ["predict", str(tmp_path / "sound.png"), "--model", str(older), "--fail-on", "unfamiliar"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert "this release does not know its training images" in result.stderr


def test_a_set_has_a_table(inspected: Inspected) -> None:
    with (inspected.output / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 and [row["photograph"] for row in rows if row["error"]] == [
        row["photograph"] for row in rows if row["photograph"].endswith("damaged.jpg")
    ]
    assert [row["taken"] for row in rows if row["photograph"].endswith("cracked.jpg")] == ["2026-05-01T10:11:12"]


def test_findings_are_where_the_photographs_were_taken(inspected: Inspected) -> None:
    found = json.loads((inspected.output / "findings.geojson").read_text(encoding="utf-8"))
    (feature,) = found["features"]
    assert found["type"] == "FeatureCollection" and feature["geometry"]["type"] == "Point"
    assert feature["geometry"]["coordinates"] == pytest.approx([151.2111111, -33.8568056]), "longitude first"
    assert feature["properties"]["photograph"].endswith("cracked.jpg") and feature["properties"]["is_positive"] is True
    row = rows_by_name(inspected.output)["sound.png"]
    assert row["latitude"] is None and "found no satellites" in str(row["geotag_error"])


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_page_of_a_set(inspected: Inspected, tmp_path: Path, width: int, dark: bool) -> None:
    with open_browser(tmp_path) as page:
        page.look(width, dark)
        page.open((inspected.output / "index.html").as_uri())
        assert page.evaluate("document.querySelector('h1').textContent") == "3 of 4 photographs with cracks"
        assert page.evaluate("document.documentElement.scrollWidth") == width
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")
        names = page.evaluate("[...document.querySelectorAll('tbody th, table > tr th')].map(cell => cell.innerText)")
        counts = page.evaluate("[...document.querySelectorAll('tr td:nth-child(2)')].map(cell => cell.innerText)")
        assert sorted(names) == ["cracked.jpg", "small.png", "sound.png", "turned.jpg"] and names[-1] == "sound.png"
        found = [int(count.split(" of ")[0]) for count in counts]
        assert found == sorted(found, reverse=True) and found[0] > 1 and found[-1] == 0
        text = page.evaluate("document.body.textContent")
        assert "1 of 4 have a GPS position" in text and "3 have none that can be used" in text
        assert "found no satellites" in text and "damaged.jpg" in text and "truncated" in text
        links = page.evaluate("[...document.links].map(link => link.href).filter(href => href.startsWith('http'))")
        assert links and all("mlat=-33.856806&mlon=151.211111#" in link for link in links)
        files = page.evaluate("[...document.links].map(link => link.href).filter(href => !href.startsWith('http'))")
        assert all(Path(unquote(urlsplit(file).path)).is_file() for file in files)

        page.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager'; })")
        page.wait_for("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        before = page.evaluate("document.querySelector('.layers').clientWidth")
        page.evaluate("document.querySelector('.view').focus()")
        for _ in range(2):
            page.call("Input.dispatchKeyEvent", type="keyDown", key="+", text="+")
        assert page.evaluate("document.querySelector('.layers').clientWidth") == pytest.approx(2 * before, abs=2)
        slide = "(slider => { slider.value = 30; slider.dispatchEvent(new Event('input')); })"
        page.evaluate(f"{slide}(document.querySelector('.opacity'))")
        assert page.evaluate("getComputedStyle(document.querySelector('.heat')).opacity") == "0.3"
        at = {"x": width / 2, "y": page.evaluate("document.querySelector('.view').getBoundingClientRect().top + 60")}
        scrolled = page.evaluate("document.querySelector('.view').scrollLeft")
        page.call("Input.dispatchMouseEvent", type="mousePressed", button="left", clickCount=1, **at)
        moved = {**at, "x": at["x"] - 40}
        page.call("Input.dispatchMouseEvent", type="mouseMoved", button="left", buttons=1, **moved)
        page.call("Input.dispatchMouseEvent", type="mouseReleased", button="left", **moved)
        assert page.evaluate("document.querySelector('.view').scrollLeft") == pytest.approx(scrolled + 40, abs=1)
        page.evaluate("document.querySelectorAll('.layers img').forEach(image => image.removeAttribute('src'))")
        rest = "layers.clientWidth / layers.style.getPropertyValue('--ratio') - layers.clientHeight"
        rests = page.evaluate(f"[...document.querySelectorAll('.layers')].map(layers => {rest})")
        assert rests == pytest.approx([0] * 4, abs=1), "pictures that are not loaded take their room"
        assert (page.console, page.asked) == ([], [])


def test_of_many_photographs_the_page_shows_the_worst(tmp_path: Path) -> None:
    settings = InspectionSettings("1", ("Positive",), 0.5, TILE, 0.5)
    with summaries(tmp_path, settings) as add:
        for number in range(2100):
            scores = np.zeros((20, 20), np.float32)
            scores.flat[: number % 300] = 0.9
            name = f"/photos/<b>{number}.jpg"
            add(Inspection(name, "1", f"{number:06d}-b", 700, 500, measures=measure(scores, 0.5)))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count('<figure class="photo"') == 200 and page.count("<tr") == 2001
    assert "2,093 of 2,100 photographs with cracks" in page and "<b>" not in page
    assert page.index("&gt;299.jpg") < page.index("&gt;298.jpg") and '<a href="000150-b/overlay.jpg">' in page
    assert "The first 2,000 are listed; summary.csv has all." in page and len(page) < 2_000_000
    with (tmp_path / "summary.csv").open(newline="") as file:
        assert sum(1 for _ in csv.DictReader(file)) == 2100


def test_a_page_of_damaged_photographs_alone_says_so(tmp_path: Path) -> None:
    with summaries(tmp_path, InspectionSettings("1", ("Positive",), 0.5, TILE, 0.5)) as add:
        add(Inspection("<b>.jpg", "1", error="truncated"))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<h1>No photograph could be inspected</h1>" in page and "&lt;b&gt;.jpg" in page and "Overview" not in page
    assert json.loads((tmp_path / "findings.geojson").read_text()) == {"type": "FeatureCollection", "features": []}


def test_a_tile_gets_the_score_that_the_model_gives_its_image(model: ReleasedModel, tmp_path: Path) -> None:
    tile = surface(TILE, TILE, 7, [(0, 40), (96, 60)])
    tile.save(tmp_path / "tile.png")
    (answer,) = model.answer([(tmp_path / "tile.png").read_bytes()])
    tiles, _ = Inspector(model, TILE, 0.5).score(np.asarray(tile))
    # The scaled photograph is rounded to whole grey levels.
    assert tiles.scores.shape == (1, 1) and tiles.scores[0, 0] == pytest.approx(answer.scores[1], abs=0.02)
    assert tiles.unfamiliarity is not None
    assert tiles.unfamiliarity[0, 0] == pytest.approx(answer.unfamiliarity, abs=0.05)


def test_an_unfamiliar_part_of_a_photograph_is_told(release: Path, tmp_path: Path) -> None:
    pixels = np.array(surface(4 * TILE, TILE, 4001))
    pixels[:, 3 * TILE :] = np.random.default_rng(0).integers(0, 256, (TILE, TILE, 3))
    Image.fromarray(pixels).save(tmp_path / "wall.png")
    command = ["inspect", str(tmp_path / "wall.png"), "--model", str(release), "-o", str(tmp_path / "found")]
    result = CliRunner().invoke(app, [*command, "--overlap", "0"])
    assert result.exit_code == 0
    page = (tmp_path / "found" / "index.html").read_text(encoding="utf-8")
    assert "25.0% of its tiles unlike the training images" in page
    (row,) = rows_by_name(tmp_path / "found").values()
    assert row["unfamiliar_share"] == 0.25
    with (tmp_path / "found" / str(row["files"]) / "tiles.csv").open(newline="") as file:
        assert [float(tile["unfamiliarity"]) > 1 for tile in csv.DictReader(file)] == [False] * 3 + [True]


def test_memory_stays_flat_whatever_the_number_of_photographs(model: ReleasedModel, tmp_path: Path) -> None:
    file = tmp_path / "large.jpg"
    surface(1500, 1000, 5).save(file)
    process, memory = psutil.Process(), []
    found: list[Inspection] = []
    for row in Inspector(model, 192, 0.2).inspect([file] * 24, tmp_path):
        found.append(row)
        memory.append(process.memory_info().rss)
    assert len({row.files for row in found}) == 24
    # Ten of them decoded and scaled would be more.
    assert max(memory[12:]) - max(memory[:12]) < 10 * 1500 * 1000 * 3


def test_beam_gives_the_same_rows_as_streaming(release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(20):
        surface(TILE, TILE, 3000 + number, [(0, 90), (96, 20)] if number % 2 else None).save(folder / f"{number}.png")
    (folder / "bad.jpg").write_text("no image")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (TILE, TILE, 3), np.uint8)).save(folder / "noise.png")
    (folder / "0.png").rename(folder / os.fsdecode(b"caf\xe9.png"))
    command = ["predict", f"{folder}/*", "--model", str(release), "-o"]
    streamed = CliRunner().invoke(app, [*command, str(tmp_path / "rows.parquet")])
    assert streamed.exit_code == 1, "one file could not be scored"
    with_beam = CliRunner().invoke(app, [*command, str(tmp_path / "shards"), "--beam", "--fail-on", "crack"])
    expected = sorted(parquet.read_table(tmp_path / "rows.parquet").to_pylist(), key=lambda row: row["image"])
    shards = sorted((tmp_path / "shards").glob("predictions-*.parquet"))
    rows = sorted((row for shard in shards for row in parquet.read_table(shard).to_pylist()), key=lambda r: r["image"])
    assert len(rows) == 22 and [list(row) for row in rows] == [list(row) for row in expected]
    for row, other in zip(rows, expected, strict=True):
        scores = [name for name in row if name.startswith("score_") or name in ("probability", "unfamiliarity")]
        for name in row:
            is_number = name in scores and other[name] is not None
            assert row[name] == (pytest.approx(other[name], abs=1e-5, rel=1e-3) if is_number else other[name])
    summary = json.loads((tmp_path / "shards" / "summary.json").read_text(encoding="utf-8"))
    labels = [row["label"] for row in expected]
    unfamiliar = sum((row["unfamiliarity"] or 0) > 1 for row in expected)
    assert unfamiliar >= 1
    assert summary == {
        "rows": 22,
        "errors": 1,
        "labels": {name: labels.count(name) for name in CLASSES},
        "unfamiliar": unfamiliar,
    }
    assert with_beam.exit_code == (5 if "Positive" in labels else 1) and "Positive" in labels


def test_workers_of_beam_take_no_version_but_the_one_that_the_command_checked(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    surface(TILE, TILE, 3000).save(tmp_path / "sound.png")
    key = Ed25519PrivateKey.generate()
    older, newer = (publish(release, tmp_path / "serving", RELEASE, Signer(key)) for _ in range(2))
    number = check_trusted(newer, key.public_key())
    assert number == int(newer.name)

    def score(signed_by: PublicKey, output: str) -> int:
        options, images = BeamOptions(), [str(tmp_path / "sound.png")]
        arguments = newer, images, tmp_path / output, Format.JSONL, EngineChoice.FASTEST, options, signed_by, number
        return predict_on_beam(*arguments).rows

    assert score(key.public_key(), "rows") == 1
    # After the command's check, somebody puts an older version there, which is signed, too.
    shutil.rmtree(newer)
    shutil.copytree(older, newer)
    for signed_by, reason in (
        (key.public_key(), f"manifest.json is that of version {older.name}, and this is version {newer.name}"),
        (Ed25519PrivateKey.generate().public_key(), "the signature is by another key"),
    ):
        capsys.readouterr()
        with pytest.raises(typer.Exit) as ended:
            score(signed_by, reason[:13])
        (line,) = capsys.readouterr().err.splitlines()
        assert ended.value.exit_code == 1 and reason in line
        assert line.startswith(f"error: '{newer}' is refused") and line.endswith("with release.signing_key")
        assert not list((tmp_path / reason[:13]).iterdir()), "the next attempt needs an empty folder"


def test_an_interruption_of_beam_leaves_an_empty_folder(release: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    surface(TILE, TILE, 1).save(tmp_path / "images" / "0.png")
    for number in range(1, 3000):
        (tmp_path / "images" / f"{number}.png").hardlink_to(tmp_path / "images" / "0.png")
    output = tmp_path / "rows"
    command = ["predict", tmp_path / "images", "--model", release, "--beam", "--output", output]
    process = subprocess.Popen(
        [sys.executable, "-c", "from crackgate_cli.main import main; main()", *command],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(output.glob("beam-temp-*")):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and "interrupted: the rows in" in said
    assert list(output.iterdir()) == []
