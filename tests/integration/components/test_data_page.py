"""DataPage behind ImageExampleGen, CuratedSchema and StatisticsGen, run by TFX: the page shows what was planted."""

import base64
import io
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from components.curated_schema.component import CuratedSchema
from components.data_page.artifact import PAGE_FILE
from components.data_page.component import DataPage
from components.image_example_gen.component import ImageExampleGen
from components.shared import parameters
from crackgate.config.data import DataOptions
from crackgate.config.schema import SchemaOptions
from crackgate.contracts import stored_example
from crackgate.data_set.data_set import find_data_set
from crackgate.images.sample_data import draw_photograph, write_sample_data
from pipeline.definition import expected_statistics
from tests.helpers.browser import Page, open_browser

if TYPE_CHECKING:
    from conftest import Bench

HOSTILE = os.fsdecode(b"<script>alert(1)<\nscript>\"'&amp;\xff.png")
SHOWN = r"""<script>alert(1)<\nscript>"'&amp;\xff.png"""
# A picture and how often it is there.
MANY, PAIR = 8, 2


class _Page(HTMLParser):
    """The page as lists of images (source, caption) under their headings, and its text under the major ones."""

    def __init__(self, html: str):
        super().__init__()
        self.figures: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self.sections: dict[str, str] = defaultdict(str)
        self._titles = {"h2": "", "h3": ""}
        self._inside = ""
        self._source, self._caption = "", ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("h2", "h3"):
            self._titles[tag] = ""
        if tag in ("h2", "h3", "figcaption"):
            self._inside = tag
        if tag == "figure":
            self._source = self._caption = ""
        if tag == "img":
            self._source = dict(attrs)["src"] or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""
        if tag == "figure":
            self.figures[self._titles["h3"]].append((self._source, " ".join(self._caption.split())))

    def handle_data(self, data: str) -> None:
        if self._inside in self._titles:
            self._titles[self._inside] += data
        if self._inside == "figcaption":
            self._caption += data
        self.sections[self._titles["h2"]] += data

    def captions(self, title: str) -> list[str]:
        """Of the images under the heading that starts so."""
        (captions,) = (
            [caption for _, caption in rows] for name, rows in self.figures.items() if name.startswith(title)
        )
        return captions


def _photograph(number: int, size: int = 64) -> Image.Image:
    return draw_photograph(False, np.random.default_rng([7, number]), size)


def _write_folder(folder: Path) -> None:
    write_sample_data(folder, 48, seed=2, size=64)
    negative, positive = folder / "Negative", folder / "Positive"
    for number in range(MANY):
        _photograph(1).save(negative / f"many {number}.png")
    for number in range(PAIR):
        _photograph(2).save(positive / f"pair {number}.png", compress_level=number)
    ImageEnhance.Brightness(_photograph(3)).enhance(0.3).save(positive / "dark.png")
    _photograph(4).filter(ImageFilter.GaussianBlur(8)).save(negative / "blurred.png")
    _photograph(5, 96).resize((400, 120)).save(negative / "large.png")
    _photograph(6, 40).save(positive / "small.png")
    _photograph(7).point(lambda level: 150 + level * 0.4).save(positive / HOSTILE)
    _photograph(8).save(negative / "frames.gif", save_all=True, append_images=[_photograph(9)])
    (positive / "empty.jpg").touch()
    (positive / f"refused {HOSTILE}").write_text("no picture")


def _components(folder: Path) -> list[Any]:
    classes = find_data_set(folder, DataOptions()).classes
    example_gen = ImageExampleGen(folder, classes, DataOptions(max_rejected_share=0.5, max_imbalance=1.0))
    schema = CuratedSchema(classes, SchemaOptions())
    statistics_gen = expected_statistics(example_gen, schema)
    page = DataPage(
        examples=example_gen.outputs["examples"],
        statistics=statistics_gen.outputs["statistics"],
        account=example_gen.outputs["account"],
        conflicts=example_gen.outputs["conflicts"],
    )
    return [example_gen, schema, statistics_gen, page]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    _write_folder(folder)
    return folder


@pytest.fixture(scope="module")
def bench(folder: Path, new_bench: "Callable[..., Bench]") -> "Bench":
    bench = new_bench()
    bench.run(*_components(folder))
    return bench


@pytest.fixture(scope="module")
def html(bench: "Bench") -> str:
    (file,) = Path(bench.output("DataPage", "page").uri).iterdir()
    assert file.name == PAGE_FILE
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> _Page:
    return _Page(html)


def test_the_planted_images_lead_their_lists(page: _Page) -> None:
    assert page.captions("Darkest")[0].endswith("Positive/dark.png")
    assert page.captions("Brightest")[0].endswith(f"Positive/{SHOWN}")
    assert page.captions("Blurriest")[0].endswith("Negative/blurred.png")
    assert page.captions("Largest")[0].startswith("400 x 120 Negative · ")
    assert page.captions("Smallest")[0].startswith("40 x 40 Positive · ")


@pytest.mark.parametrize(
    ("title", "feature", "sign"),
    [
        ("Darkest", stored_example.BRIGHTNESS, 1),
        ("Brightest", stored_example.BRIGHTNESS, -1),
        ("Lowest contrast", stored_example.CONTRAST, 1),
        ("Blurriest", stored_example.SHARPNESS, 1),
        ("Sharpest", stored_example.SHARPNESS, -1),
    ],
)
def test_a_list_holds_the_12_most_extreme_images_of_all_splits_in_order(
    bench: "Bench", page: _Page, title: str, feature: str, sign: int
) -> None:
    stored = [
        (
            sign * example.features.feature[feature].float_list.value[0],
            example.features.feature[stored_example.FILENAME].bytes_list.value[0],
            example.features.feature[stored_example.CLASS_TEXT].bytes_list.value[0].decode(),
            split,
        )
        for split, examples in bench.examples().items()
        for example in examples
    ]
    expected = [
        f"{sign * value:,.1f} {label} · {split} {os.fsdecode(path).replace(HOSTILE, SHOWN)}"
        for value, path, label, split in sorted(stored)[:12]
    ]
    assert page.captions(title) == expected


def test_a_thumbnail_is_of_the_image_that_it_stands_for(page: _Page) -> None:
    (rows,) = (rows for name, rows in page.figures.items() if name.startswith("Largest"))
    source, _ = rows[0]
    with Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/jpeg;base64,")))) as thumbnail:
        assert thumbnail.size == (160, 48)
    (rows,) = (rows for name, rows in page.figures.items() if name.startswith("Darkest"))
    levels = []
    for source, _ in rows:
        with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as thumbnail:
            levels.append(np.asarray(thumbnail.convert("L")).mean())
    np.testing.assert_allclose(levels, [float(caption.split()[0]) for caption in page.captions("Darkest")], atol=1.5)


def test_groups_of_copies_are_shown_the_largest_first_with_up_to_six_members(page: _Page) -> None:
    # The copies, and no other group: the images in it share a split.
    many, pair = (rows for name, rows in page.figures.items() if " images " in name)
    assert [caption.partition(" Negative/")[2] for _, caption in many] == [f"many {number}.png" for number in range(6)]
    assert [caption.partition(" Positive/")[2] for _, caption in pair] == [f"pair {number}.png" for number in range(2)]
    assert len({caption.partition(" Negative/")[0] for _, caption in many}) == 1
    assert len({source for source, _ in many}) == 1 and many[0][0].startswith("data:image/jpeg;base64,")
    assert "and 2 more" in page.sections["Groups"]


def test_the_headline_and_the_counts_are_those_of_the_account(bench: "Bench", page: _Page) -> None:
    account = bench.json_output("ImageExampleGen", "account")
    images = account["splits"]
    assert (account["found"], account["ingested"], len(account["rejected"])) == (66, 64, 2)
    headline = f"files found66\nimages ingested64\nfiles rejected2\ngroups{account['groups']}\n"
    assert headline in page.sections[""]
    cells = page.sections["Counts"].split("all\n")[1].split()
    sizes = [sum(images[split].values()) for split in stored_example.SPLITS]
    for name, row in (("Negative", 0), ("Positive", 1)):
        counts = [images[split][name] for split in stored_example.SPLITS]
        shares = [f"{count / size:.1%}" for count, size in zip(counts, sizes, strict=True)]
        expected = [word for pair in zip(map(str, counts), shares, strict=True) for word in pair]
        assert cells[9 * row : 9 * row + 7] == [name, *expected]


def test_the_statistics_are_those_of_the_stored_images(bench: "Bench", page: _Page) -> None:
    text = " ".join(page.sections["Statistics"].split())
    for split, examples in bench.examples().items():
        widths = [example.features.feature[stored_example.WIDTH].int64_list.value[0] for example in examples]
        start = f"{split} {len(widths)} 0 {np.mean(widths):,.1f} {np.std(widths):,.1f} {min(widths)} "
        assert start in text.partition("Width")[2].partition("Height")[0]


def test_rejected_files_and_warnings_are_listed(page: _Page) -> None:
    rejected = page.sections["Rejected files"]
    assert "empty file: 1" in rejected and "Positive/empty.jpg" in rejected
    assert "not an image: 1" in rejected and f"Positive/refused {SHOWN}" in rejected
    assert "first of several frames: 1" in page.sections["Warnings"]
    assert "Negative/frames.gif" in page.sections["Warnings"]


def test_the_page_loads_nothing(html: str) -> None:
    loaded = [part.partition('"')[0] for name in ("src", "srcset", "href") for part in html.split(f' {name}="')[1:]]
    assert len(loaded) > 100
    assert all(reference.startswith(("data:image/", "#")) for reference in loaded)
    assert "<script" not in html and "<link" not in html


def test_a_run_of_other_code_writes_the_same_page(
    folder: Path, bench: "Bench", html: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_this_code = parameters.code_digest
    other = {"components.data_page.executor": "of other code"}
    monkeypatch.setattr(parameters, "code_digest", lambda *modules: other.get(modules[0]) or of_this_code(*modules))
    bench.run(*_components(folder))
    assert bench.states("DataPage")[-1] == "COMPLETE" and bench.states("StatisticsGen")[-1] == "CACHED"
    assert (Path(bench.output("DataPage", "page").uri) / PAGE_FILE).read_text(encoding="utf-8") == html


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


def test_a_browser_shows_the_page_without_complaint_and_without_the_network(
    bench: "Bench", browser: Page, tmp_path: Path
) -> None:
    browser.open((Path(bench.output("DataPage", "page").uri) / PAGE_FILE).as_uri())
    browser.take_picture(tmp_path / "page.png")
    assert (browser.console, browser.asked) == ([], [])
    with Image.open(tmp_path / "page.png") as shot:
        assert len(shot.convert("RGB").getcolors(maxcolors=1 << 24) or []) > 50


def test_the_browser_would_tell_of_a_complaint_and_of_a_request(browser: Page, tmp_path: Path) -> None:
    file = tmp_path / "other.html"
    file.write_text('<img src="http://pictures.invalid/a.png"><script>console.error("said")</script>')
    browser.open(file.as_uri())
    assert any("said" in complaint for complaint in browser.console)
    assert set(browser.asked) == {"http://pictures.invalid/a.png"}
