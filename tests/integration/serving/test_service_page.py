"""The service's page, in a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.helpers.asking import DARK
from tests.helpers.driven_browser import Page, driven_browser
from tests.helpers.service_process import Service


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser's page."""
    with driven_browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.mark.parametrize(("width", "dark"), [(1000, False), (1000, True), (340, False)])
def test_the_page_shows_where(service: Service, page: Page, tmp_path: Path, width: int, dark: bool) -> None:
    photograph = np.full((480, 720, 3), 230, np.uint8)
    photograph[:, 400:] = 20
    Image.fromarray(photograph).save(tmp_path / "wall.jpg")
    page.look(width, dark)
    page.open(f"{service.url}/")
    page.choose_file("#file", tmp_path / "wall.jpg")
    page.wait_for("!document.getElementById('result').hidden")
    page.take_picture(tmp_path / "page.png")
    # Whatever it is as a whole, its tiles decide.
    verdict = page.evaluate("document.getElementById('verdict').textContent")
    assert re.fullmatch(r"Positive in [1-9]\d* of \d+ tiles", verdict)
    tiles = page.evaluate("document.getElementById('tiles').textContent")
    assert "tiles reach the threshold of Positive, 50.0 %" in tiles
    assert page.evaluate("document.getElementById('heat').getAttribute('aria-label')") == f"Heat map: {tiles}"
    assert page.evaluate("document.activeElement.id") == "verdict"
    # Red on the right, where it is dark, and nothing on the left.
    row = "document.getElementById('heat').getContext('2d').getImageData(0, 200, 720, 1).data"
    left, right = page.evaluate(f"(row => [row[4 * 20 + 3], row[4 * 680 + 3]])({row})")
    assert left < 10
    assert right > 150
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")
    assert page.console == []
    asked = [url for url in page.asked if not url.startswith(("blob:", "data:"))]
    assert asked
    assert all(url.startswith(f"{service.url}/") for url in asked)


def test_the_page_says_what_went_wrong(service: Service, page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photograph")
    page.open(f"{service.url}/")
    page.choose_file("#file", tmp_path / "notes.txt")
    page.wait_for("document.getElementById('problem').textContent")
    assert "not an image" in page.evaluate("document.getElementById('problem').textContent")
    assert page.evaluate("document.getElementById('result').hidden")


def test_the_page_asks_for_the_token(empty_service: Service, page: Page, tmp_path: Path) -> None:
    (tmp_path / "wall.png").write_bytes(DARK)
    page.open(f"{empty_service.url}/")
    page.choose_file("#file", tmp_path / "wall.png")
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
