"""The service's page, in a real browser."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from serving.inspection.tile_files import Tile
from tests.helpers.asking import DARK
from tests.helpers.browser import Page, open_browser
from tests.helpers.service_process import Service


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser's page."""
    with open_browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.mark.parametrize(("width", "dark"), [(1000, False), (1000, True), (340, False)])
def test_the_page_shows_where(service: Service, page: Page, tmp_path: Path, width: int, dark: bool) -> None:
    photograph = np.full((480, 720, 3), 230, np.uint8)
    photograph[:, 400:] = 20
    Image.fromarray(photograph).save(tmp_path / "wall.jpg")
    page.look(width, dark)
    page.open(f"{service.url}/")
    page.choose_files("#file", tmp_path / "wall.jpg")
    page.wait_for("document.querySelector('.photo .marked')?.href")
    page.take_picture(tmp_path / "page.png")
    # Whatever it is as a whole, its tiles decide, and nothing else is said.
    verdict = page.evaluate("document.querySelector('.photo h2').textContent")
    assert re.fullmatch(r"Positive in [1-9]\d* of \d+ tiles", verdict)
    assert "Negative" not in page.evaluate("document.querySelector('main').innerText")
    tiles = page.evaluate("document.querySelector('.tiles').textContent")
    assert "reach the threshold of Positive, 50.0 %" in tiles
    assert page.evaluate("document.querySelector('.heat').getAttribute('aria-label')") == f"Heat map: {tiles}"
    assert page.evaluate("document.activeElement.textContent") == verdict
    # Red on the right, where it is dark, and nothing on the left.
    row = "document.querySelector('.heat').getContext('2d').getImageData(0, 200, 720, 1).data"
    left, right = page.evaluate(f"(row => [row[4 * 20 + 3], row[4 * 680 + 3]])({row})")
    assert left < 10
    assert right > 150
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")
    slide = "(slider => { slider.value = 50; slider.dispatchEvent(new Event('input')); })"
    page.evaluate(f"{slide}(document.querySelector('.opacity'))")
    assert page.evaluate("getComputedStyle(document.querySelector('.heat')).opacity") == "0.5"
    before = page.evaluate("document.querySelector('.layers').clientWidth")
    page.evaluate(f"{slide.replace('50', '4')}(document.querySelector('.zoom'))")
    assert page.evaluate("document.querySelector('.layers').clientWidth") == pytest.approx(4 * before, abs=4)
    assert page.console == []
    asked = [url for url in page.asked if not url.startswith("blob:")]
    assert asked
    assert all(url.startswith(f"{service.url}/") for url in asked)


def test_several_photographs_are_told_in_a_table_with_their_tiles_to_download(
    service: Service, page: Page, tmp_path: Path
) -> None:
    for name, level in (("sound", 230), ("cracked", 20)):
        Image.fromarray(np.full((300, 500, 3), level, np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").write_text("no photograph")
    page.look(390)
    page.open(f"{service.url}/")
    page.evaluate("document.getElementById('tile').value = '100'")
    page.choose_files("#file", *(tmp_path / name for name in ("sound.png", "notes.txt", "cracked.png")))
    page.wait_for("document.getElementById('rows').children.length === 3 && document.getElementById('progress').hidden")
    assert page.evaluate("document.getElementById('found').textContent") == (
        "1 of 2 photographs with findings, 1 not inspected"
    )
    rows = page.evaluate("[...document.querySelectorAll('#rows tr')].map(row => row.innerText.split('\\t'))")
    assert [name for name, _ in rows] == ["cracked.png", "sound.png", "notes.txt"], "most tiles first"
    # Tiles of 100 pixels that overlap by half: 9 along 500 pixels, and 5 along 300.
    assert [found for _, found in rows[:2]] == ["45 of 45 tiles", "0 of 45 tiles"] and "not an image" in rows[2][1]
    assert page.evaluate("document.getElementById('progress').value") == 3
    page.wait_for("[...document.querySelectorAll('.marked')].every(link => link.href)")
    link = "document.querySelectorAll('.csv')[1]"
    assert page.evaluate(f"{link}.download") == "cracked-tiles.csv"
    assert page.evaluate(f"{link}.href").startswith("blob:")
    assert len(page.console) == 1 and "status of 400" in page.console[0], "that of the text file"
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_without_a_positive_class_nothing_is_said_to_be_found(service: Service, page: Page) -> None:
    """What the page makes of such an answer, and of a format that the browser does not show."""
    page.look(390)
    page.open(f"{service.url}/")
    whole = {"label": "Rough", "probability": 0.75, "error": "", "scores": {"Rough": 0.75, "Smooth": 0.25}}
    missing = "There is no heat map: this model has no positive class."
    answer = {"width": 300, "height": 200, "whole": whole, "map": None, "map_missing": missing}
    for name, told in (("a", "1 photograph"), ("b", "2 photographs")):
        page.evaluate(f"show(new File(['no picture'], '{name}.heic'), {json.dumps(answer)}, 2)")
        page.wait_for(f"document.getElementById('found').textContent === '{told}'")
    told = page.evaluate("document.querySelector('article').innerText").split("\n")
    assert told[0] == "Rough, 75.0 %" and missing in told and "Smooth\t25.0 %" in told
    assert not any("marked image" in line or "Zoom" in line for line in told)
    assert page.evaluate("document.querySelector('.view').offsetHeight") == 0, "there is nothing to show"


def test_other_photographs_may_be_chosen_while_one_is_being_shown(service: Service, page: Page, tmp_path: Path) -> None:
    (tmp_path / "wall.png").write_bytes(DARK)
    page.open(f"{service.url}/")
    answer = httpx.post(f"{service.url}/heatmap", content=DARK, timeout=60).json()
    # The picture is still being decoded when the next ones are chosen.
    page.evaluate(f"show(new File(['no picture'], 'old.png'), {json.dumps(answer)}, 2); begin([])")
    page.choose_files("#file", tmp_path / "wall.png")
    page.wait_for("document.querySelector('.photo .marked')?.href")
    assert page.evaluate("document.getElementById('rows').innerText").startswith("wall.png")
    assert page.evaluate("document.getElementById('rows').children.length") == 1
    # A browser tells of no change when the same photograph is chosen again.
    page.evaluate("document.getElementById('file').dispatchEvent(new Event('click'))")
    assert page.evaluate("document.getElementById('file').files.length") == 0
    before = page.evaluate("document.querySelector('.zoom').value")
    for pressed, ctrl in (("+", True), ("+", False)):
        press = f"new KeyboardEvent('keydown', {{ key: '{pressed}', ctrlKey: {json.dumps(ctrl)} }})"
        page.evaluate(f"document.querySelector('.view').dispatchEvent({press})")
        assert (page.evaluate("document.querySelector('.zoom').value") == before) == ctrl, "Ctrl is the browser's own"


def test_the_page_says_what_went_wrong(service: Service, page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photograph")
    page.open(f"{service.url}/")
    page.choose_files("#file", tmp_path / "notes.txt")
    page.wait_for("document.getElementById('problem').textContent")
    assert "not an image" in page.evaluate("document.getElementById('problem').textContent")
    assert page.evaluate("document.querySelectorAll('.view').length") == 0


def test_files_for_other_programs_are_those_of_inspect(service: Service) -> None:
    answer = httpx.post(f"{service.url}/heatmap?tile=64", content=DARK, timeout=60).raise_for_status().json()
    rows = list(csv.DictReader(io.StringIO(answer["map"]["csv"])))
    assert len(rows) == answer["map"]["tiles"] and list(rows[0]) == [*Tile._fields, "unfamiliarity"]
    assert sum(row["is_positive"] == "true" for row in rows) == answer["map"]["positive"] > 0
    assert sum(map(sum, answer["map"]["is_positive"])) == answer["map"]["positive"]


@pytest.mark.parametrize("tile", ["31", "8193", "-64", "64.5", "\N{SUPERSCRIPT TWO}", "1e3", "9" * 5000, "%20"])
def test_a_tile_of_another_size_is_refused(service: Service, tile: str) -> None:
    response = httpx.post(f"{service.url}/heatmap", params={"tile": tile}, content=DARK)
    assert response.status_code == 400
    assert "allowed are whole numbers of pixels from 32 to 8192" in response.json()["error"]


def test_the_page_asks_for_the_token(empty_service: Service, page: Page, tmp_path: Path) -> None:
    (tmp_path / "wall.png").write_bytes(DARK)
    page.open(f"{empty_service.url}/")
    page.choose_files("#file", tmp_path / "wall.png")
    page.wait_for("!document.getElementById('token-form').hidden")
    page.evaluate("document.getElementById('token').value = '0123456789abcdef'")
    page.evaluate("document.querySelector('#token-form button').click()")
    page.wait_for("document.getElementById('problem').textContent.includes('no version is ready')")


def test_the_page_may_do_nothing_else(service: Service) -> None:
    response = httpx.get(f"{service.url}/")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in response.text.replace("http-equiv", "")
    assert response.headers["x-content-type-options"] == "nosniff"
