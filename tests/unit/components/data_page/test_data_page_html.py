"""The data page's HTML: hostile names stay text, empty lists are said to be empty, any number of classes fits."""

import base64
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.data_page.page import render_page
from components.data_page.qualities import Qualities
from components.data_page.samples import ORDERS, Group, SampledImage, Samples
from components.data_page.sizes import find_scale
from components.data_page.statistics import MEASURES, FeatureStatistics, read_statistics
from crackgate.contracts import stored_example
from crackgate.contracts.account import Account
from crackgate.contracts.label_conflict import ConflictImage, LabelConflict
from crackgate.contracts.scale_findings import ScaleFindings
from crackgate.contracts.separation import Separation
from crackgate.pages.shown_text import show
from crackgate.pages.thumbnails import make_thumbnail
from tests.helpers.parsed_page import ParsedPage

HOSTILE = "Crack/<script>alert(1)<\nscript>\"'&amp;\u202e \udcff.jpg"
SHOWN = r"""Crack/<script>alert(1)<\nscript>"'&amp;\u202e \xff.jpg"""
NO_QUALITIES = Qualities({}, [])
NO_SCALE = ScaleFindings()
TWO_CLASSES = ["Negative", "Positive"]


def _account(classes: list[str], **changes: Any) -> Account:
    counts = {name: number for number, name in enumerate(classes, start=1)}
    images = {split: dict(counts) for split in sorted(stored_example.SPLITS)}
    total = 3 * sum(counts.values())
    return Account(found=total, ingested=total, groups=total, splits=images, **changes)


def _image(path: str, class_name: str = "Positive", side: int = 100) -> SampledImage:
    return SampledImage(
        path=path.encode("utf-8", "surrogateescape"),
        split="train",
        class_name=class_name,
        brightness=20.25,
        contrast=3.0,
        sharpness=12345.6,
        entropy=2.5,
        width=side,
        height=50,
        file_bytes=4000,
        file_format="jpeg",
        camera="",
    )


def _samples(
    images: list[SampledImage], groups: Iterable[Group] = (), overlaps: Iterable[list[SampledImage]] = ()
) -> Samples:
    return Samples(dict.fromkeys(ORDERS, images), list(groups), list(overlaps))


def _feature(low: float, high: float) -> FeatureStatistics:
    middle = (low + high) / 2
    return FeatureStatistics(10, 1, middle, 1.5, low, middle, high, 2, (low, middle, high), (4.0, 6.0))


def _statistics(low: float, high: float) -> dict[str, dict[str, FeatureStatistics]]:
    return {split: {measure.feature: _feature(low, high) for measure in MEASURES} for split in stored_example.SPLITS}


def _thumbnail(width: int, height: int) -> str:
    return make_thumbnail(_encode(PillowImage.new("RGB", (width, height), (200, 30, 30)), "PNG"))


def _encode(image: PillowImage.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def test_a_hostile_name_is_text_wherever_it_appears() -> None:
    row = {"path": HOSTILE.replace("\udcff", r"\xff"), "class": "<i>"}
    account = _account(
        ["<i>", "Positive"],
        rejected=[{**row, "reason": "<b>reason", "detail": "</ul><script>detail"}],
        warnings=[{**row, "reason": "<b>warning"}],
    )
    image = _image(HOSTILE, class_name="<i>")
    group = Group(name="<u>'group", size=2, members=[image, image])
    html = render_page(
        account, {}, NO_QUALITIES, NO_SCALE, [], _samples([image], [group]), {image.path: _thumbnail(9, 9)}
    )
    page = ParsedPage(html)
    assert not {"script", "i", "u"} & {tag for tag, _ in page.elements}
    assert all(
        name in page.text for name in (SHOWN, "<b>reason", "</ul><script>detail", "<b>warning", "<u>'group", "<i>")
    )
    # Seven lists (all images are of one size), the group twice; rejected files and warnings have no thumbnail.
    assert [image["alt"] for image in page.of("img")] == [f"{SHOWN}, class <i>"] * 8
    assert page.text.count(SHOWN) == 10
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_images_that_may_show_the_same_place_are_shown() -> None:
    frames = [_image(f"clip/frame_{number}.jpg") for number in range(3)]
    account = _account(TWO_CLASSES, overlapping_groups=40, overlapping=[["clip/frame_0.jpg"]])
    thumbnails = {frame.path: _thumbnail(9, 9) for frame in frames}
    page = ParsedPage(render_page(account, {}, NO_QUALITIES, NO_SCALE, [], _samples([], overlaps=[frames]), thumbnails))
    assert "40 groups of such images" in page.text
    assert [image["alt"] for image in page.of("img")] == [f"clip/frame_{at}.jpg, class Positive" for at in range(3)]


def test_nothing_to_show_is_said() -> None:
    page = ParsedPage(render_page(_account(TWO_CLASSES), {}, NO_QUALITIES, NO_SCALE, [], _samples([]), {}))
    assert not page.of("img")
    for sentence in (
        "Every image is a group of its own.",
        "No two images that are no copies were found to overlap.",
        "No two alike images are in different classes.",
        "No file was rejected.",
        "No image needs a look.",
    ):
        assert sentence in page.text
    assert page.text.count("no values") == len(MEASURES)


@pytest.mark.parametrize(("rejected", "said"), [(True, "Rejected the same picture"), (False, "Kept they differ")])
def test_a_label_conflict_shows_both_pictures_side_by_side(rejected: bool, said: str) -> None:
    one, other = (
        ConflictImage(path=f"{name}/{HOSTILE}", class_name=name, thumbnail=_thumbnail(9, 9)) for name in TWO_CLASSES
    )
    conflict = LabelConflict(one=one, other=other, rejected=rejected)
    page = ParsedPage(render_page(_account(TWO_CLASSES), {}, NO_QUALITIES, NO_SCALE, [conflict], _samples([]), {}))
    assert [image["alt"] for image in page.of("img")] == [
        f"{show(image.path)}, class {image.class_name}" for image in (one, other)
    ]
    assert said in " ".join(page.text.split())


def test_five_classes_have_a_row_each_with_shares_in_the_order_of_the_splits() -> None:
    classes = [f"Class {number}" for number in range(1, 6)]
    account = _account(classes)
    account.splits["test"] = dict.fromkeys(classes, 0)
    page = ParsedPage(render_page(account, {}, NO_QUALITIES, NO_SCALE, [], _samples([]), {}))
    lines = page.text[page.text.index("Class\n") : page.text.index("Distributions", page.text.index("Class\n"))].split(
        "\n"
    )
    cells = [line for line in lines if line]
    assert cells[:5] == ["Class", "train", "eval", "test", "all"]
    assert cells[5 + 4 * 5 : 5 + 5 * 5] == ["Class 5", "5 33.3%", "5 33.3%", "0 \N{EN DASH}", "10 33.3%"]
    assert cells[5 + 5 * 5 :] == ["All", "15 50.0%", "15 50.0%", "0 0.0%", "30 100.0%"]


def test_the_statistics_of_each_measure_and_split_are_in_the_table() -> None:
    page = ParsedPage(
        render_page(_account(TWO_CLASSES), _statistics(1000.0, 2000.5), NO_QUALITIES, NO_SCALE, [], _samples([]), {})
    )
    rows = page.text.split("zeros")[1].split("Outliers")[0].split()
    brightness = ["train", "10", "1", "1,500.25", "1.50", "1,000.0", "1,500.2", "2,000.5", "2"]
    width = ["train", "10", "1", "1,500.2", "1.5", "1,000", "1,500", "2,000", "2"]
    text = " ".join(rows)
    assert (text.count(" ".join(brightness)), text.count(" ".join(width))) == (3, 3), "of 7, one has two decimals"
    assert rows.count("train") == rows.count("eval") == rows.count("test") == len(MEASURES)
    assert "Histograms of brightness, mean grey level, 0 to 255. train: median 1,500.2; eval: median 1,500.2" in (
        page.of("img")[0]["alt"] or ""
    )


def test_a_measure_is_drawn_for_light_and_for_dark() -> None:
    page = ParsedPage(
        render_page(_account(TWO_CLASSES), _statistics(0.0, 9.0), NO_QUALITIES, NO_SCALE, [], _samples([]), {})
    )
    light, dark = page.of("img")[0]["src"] or "", page.of("source")[0]["srcset"] or ""
    assert page.of("source")[0]["media"] == "(prefers-color-scheme: dark)"
    drawings = [base64.b64decode(uri.removeprefix("data:image/svg+xml;base64,")).decode() for uri in (light, dark)]
    assert drawings[0] != drawings[1]
    for drawing in drawings:
        assert all(split in drawing for split in stored_example.SPLITS)


def test_a_measure_of_a_single_value_is_told_and_not_drawn() -> None:
    statistics = _statistics(0.0, 9.0)
    for of_split in statistics.values():
        of_split[stored_example.WIDTH] = FeatureStatistics(
            5, 0, 227.0, 0.0, 227.0, 227.0, 227.0, 0, (227.0, 227.0), (5.0,)
        )
    page = ParsedPage(render_page(_account(TWO_CLASSES), statistics, NO_QUALITIES, NO_SCALE, [], _samples([]), {}))
    assert "227 pixels, every image" in page.text
    assert len(page.of("img")) == len(MEASURES) - 1
    # In one split only, it is drawn with the others.
    statistics["train"][stored_example.WIDTH] = _feature(100.0, 300.0)
    assert len(
        ParsedPage(render_page(_account(TWO_CLASSES), statistics, NO_QUALITIES, NO_SCALE, [], _samples([]), {})).of(
            "img"
        )
    ) == len(MEASURES)


def test_a_split_without_values_is_left_out() -> None:
    statistics = _statistics(0.0, 9.0) | {"test": {}}
    page = ParsedPage(render_page(_account(TWO_CLASSES), statistics, NO_QUALITIES, NO_SCALE, [], _samples([]), {}))
    assert page.of("img")[0]["alt"] == (
        "Histograms of brightness, mean grey level, 0 to 255. train: median 4.5; eval: median 4.5"
    )


@pytest.mark.parametrize(("sides", "expected"), [((100, 100), False), ((100, 101), True)])
def test_sizes_are_ranked_only_where_they_differ(sides: tuple[int, int], expected: bool) -> None:
    images = [_image(f"Positive/{number}.jpg", side=side) for number, side in enumerate(sides)]
    text = ParsedPage(render_page(_account(TWO_CLASSES), {}, NO_QUALITIES, NO_SCALE, [], _samples(images), {})).text
    assert ("Smallest" in text) == ("Largest" in text) == expected
    assert ("101 x 50" in text) == expected


def test_an_image_without_a_thumbnail_is_shown_by_its_path() -> None:
    page = ParsedPage(
        render_page(
            _account(TWO_CLASSES),
            {},
            NO_QUALITIES,
            NO_SCALE,
            [],
            _samples([_image("Positive/a.jpg")]),
            {b"Positive/a.jpg": ""},
        )
    )
    assert not page.of("img")
    assert page.text.count("no preview") == page.text.count("Positive/a.jpg") == len(ORDERS) - 2


def test_of_many_rejected_files_those_that_the_account_lists_are_shown_and_all_are_counted() -> None:
    rejected = [
        {"path": f"Positive/{number:03d}.jpg", "class": "Positive", "reason": reason, "detail": "cut"}
        for reason, count in (("rare", 2), ("truncated", 1000))
        for number in range(count)
    ]
    account = _account(TWO_CLASSES, rejected=rejected, rejected_by_reason={"rare": 2, "truncated": 1450})
    page = ParsedPage(render_page(account, {}, NO_QUALITIES, NO_SCALE, [], _samples([]), {}))
    assert page.text.index("truncated: 1,450") < page.text.index("rare: 2")
    assert "For 450 more, see the output rows of ImageExampleGen" in " ".join(page.text.split())
    assert page.text.count("cut") == 1002
    assert "1,452" in page.text


def test_of_a_large_group_the_rest_is_counted() -> None:
    group = Group(name="abc", size=10_432, members=[_image(f"Positive/{number}.jpg") for number in range(6)])
    text = ParsedPage(
        render_page(_account(TWO_CLASSES), {}, NO_QUALITIES, NO_SCALE, [], _samples([], [group]), {})
    ).text
    assert "10,432 images" in text and "and 10,426 more" in text


def test_the_page_refers_to_nothing_outside_itself_and_forbids_it() -> None:
    thumbnails = {b"Positive/a.jpg": _thumbnail(300, 200)}
    html = render_page(
        _account(TWO_CLASSES),
        _statistics(0.0, 9.0),
        NO_QUALITIES,
        NO_SCALE,
        [],
        _samples([_image("Positive/a.jpg")]),
        thumbnails,
    )
    page = ParsedPage(html)
    references = [
        value or ""
        for _, attributes in page.elements
        for key, value in attributes.items()
        if key in ("src", "srcset", "href", "action", "data", "poster")
    ]
    assert references and all(reference.startswith(("data:image/", "#")) for reference in references)
    identifiers = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {f"#{name}" for name in identifiers} == {reference for reference in references if reference[0] == "#"}
    assert "default-src 'none'" in html
    assert "url(" not in html and "@import" not in html


def test_the_same_arguments_give_the_same_page() -> None:
    arguments = (
        _account(TWO_CLASSES),
        _statistics(0.0, 9.0),
        NO_QUALITIES,
        NO_SCALE,
        [],
        _samples([_image("Positive/a.jpg")]),
        {},
    )
    assert render_page(*arguments) == render_page(*arguments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b/Riß 裂缝.jpg", "a b/Riß 裂缝.jpg"),
        ("new\nline\ttab\x00", r"new\nline\ttab\x00"),
        ("\u202egpj.exe\u200b", r"\u202egpj.exe\u200b"),
    ],
)
def test_what_a_browser_would_hide_is_written_out(text: str, expected: str) -> None:
    assert show(text) == expected


@pytest.mark.parametrize("size", [(640, 480), (20, 10), (3000, 1), (159, 161)])
@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "L")])
def test_a_thumbnail_is_a_jpeg_of_at_most_160_pixels(size: tuple[int, int], kind: str, mode: str) -> None:
    uri = make_thumbnail(_encode(PillowImage.new(mode, size), kind))
    with PillowImage.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))) as thumbnail:
        assert thumbnail.format == "JPEG"
        assert max(thumbnail.size) == min(160, max(size))


def test_a_thumbnail_shows_the_picture() -> None:
    pixels = np.zeros((400, 400, 3), np.uint8)
    pixels[:, 200:] = (250, 40, 40)
    uri = make_thumbnail(_encode(PillowImage.fromarray(pixels), "JPEG"))
    with PillowImage.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as thumbnail:
        small = np.asarray(thumbnail, np.int16)
    assert small[:, :70].max() < 20
    np.testing.assert_allclose(small[:, 90:].mean(axis=(0, 1)), (250, 40, 40), atol=6)


def test_an_image_that_does_not_decode_has_no_thumbnail() -> None:
    assert make_thumbnail(b"no picture") == ""


def test_the_statistics_are_those_of_numeric_features_with_values() -> None:
    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = statistics.datasets.add(num_examples=10)
    named = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.STRING)
    named.path.step.append("text")
    named.string_stats.common_stats.num_non_missing = 10
    for name, present in (("empty", 0), ("full", 9)):
        feature = dataset.features.add()
        feature.path.step.append(name)
        numbers = feature.num_stats
        numbers.common_stats.num_non_missing, numbers.common_stats.num_missing = present, 10 - present
        numbers.mean, numbers.std_dev, numbers.min, numbers.median, numbers.max, numbers.num_zeros = 2, 3, 1, 4, 8, 5
        for kind in (statistics_pb2.Histogram.QUANTILES, statistics_pb2.Histogram.STANDARD):
            histogram = numbers.histograms.add(type=kind)
            histogram.buckets.add(low_value=1, high_value=4, sample_count=2.5 + kind)
            histogram.buckets.add(low_value=4, high_value=8, sample_count=6.5)
    assert read_statistics(statistics) == {"full": FeatureStatistics(9, 1, 2, 3, 1, 4, 8, 5, (1, 4, 8), (2.5, 6.5))}


def test_images_of_very_different_or_foreign_scales_are_a_warning() -> None:
    scale = find_scale([("train", 100, 100, 5, "<i>.jpg"), ("train", 900, 100, 1, "b"), ("test", 10, 10, 1, "<b>")])
    page = ParsedPage(render_page(_account(TWO_CLASSES), {}, NO_QUALITIES, scale, [], _samples([]), {}))
    text = " ".join(page.text.split())
    assert "Warning: the training images have sides of 100 to 900 pixels (median 100)" in text
    assert "Warning: split 'test': 1 of 1 images are out of the scale" in text and "'<b>' (10x10)" in text


def test_what_tells_a_class_apart_is_a_warning_and_classes_have_histograms_of_their_own() -> None:
    by_class = {name: {measure.feature: _feature(0, 9) for measure in MEASURES} for name in ("$a_{", "<b>", "b" * 99)}
    separation = Separation(quality="width", class_name="<b>", auc=0.98765)
    qualities = Qualities(by_class, [separation])
    page = ParsedPage(
        render_page(_account(TWO_CLASSES), _statistics(0.0, 9.0), qualities, NO_SCALE, [], _samples([]), {})
    )
    assert "Warning: width alone tells class '<b>' from the rest (cross-validated AUC 0.988)" in page.text
    assert len(page.of("img")) == 2 * len(MEASURES), "by split and by class"
