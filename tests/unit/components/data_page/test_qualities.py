"""Qualities that tell classes apart: found where they are planted, and in no honest set."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from components.data_page.qualities import Row, compare_classes, to_rows
from components.data_page.samples import SampledImage
from crackgate.contracts import stored_example


def _images(count: int, class_name: str, seed: int, **changes: Any) -> list[Row]:
    """Images of one class; a change is a value, or a function of the draw."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for number in range(count):
        image = SampledImage(
            path=f"{class_name}/{number}.jpg".encode(),
            split="train",
            class_name=class_name,
            brightness=float(rng.normal(120, 20)),
            contrast=float(rng.normal(30, 5)) if class_name == "Positive" else float(rng.normal(8, 2)),
            sharpness=float(rng.normal(300, 60)),
            entropy=float(rng.normal(6, 0.5)),
            width=227,
            height=227,
            file_bytes=int(rng.normal(7000, 1000)),
            file_format="jpeg",
            camera="",
        )
        given = {name: change(rng) if callable(change) else change for name, change in changes.items()}
        rows += to_rows((f"{class_name} {number}".encode(), replace(image, **given)), 1.0)
    return rows


_TELLING: dict[str, tuple[str, dict[str, Any]]] = {
    "another camera's size": ("width", {"width": 300}),
    "another format": ("file format", {"file_format": "tiff"}),
    "another camera": ("camera (EXIF)", {"camera": "Canon EOS 80D"}),
    "two other cameras": ("camera (EXIF)", {"camera": lambda rng: str(rng.choice(["Apple iPhone 12", "DJI FC6310"]))}),
    "larger files": ("size of the file", {"file_bytes": lambda rng: int(rng.normal(20_000, 1000))}),
    "night": ("brightness", {"brightness": lambda rng: float(rng.normal(40, 10))}),
    "blurred": ("sharpness", {"sharpness": lambda rng: float(rng.normal(20, 5))}),
    # No order of the values tells the classes apart, but two thresholds do.
    "both darker and brighter": ("brightness", {"brightness": lambda rng: 120.0 + float(rng.choice([-90, 90]))}),
}


@pytest.mark.parametrize(("quality", "changes"), _TELLING.values(), ids=_TELLING)
@pytest.mark.parametrize("counts", [(60, 60), (300, 40)])
def test_a_quality_that_tells_the_classes_apart_is_named_with_its_auc(
    quality: str, changes: dict[str, Any], counts: tuple[int, int]
) -> None:
    rows = _images(counts[0], "Negative", 1) + _images(counts[1], "Positive", 2, **changes)
    (found,) = compare_classes(rows).separations
    assert (found.quality, found.class_name) == (quality, "Positive")
    assert 0.95 <= found.auc <= 1
    assert f"{quality} alone tells class 'Positive' from the rest (cross-validated AUC {found.auc:.3f})" in (
        found.in_words()
    )
    assert compare_classes(rows[::-1]) == compare_classes(rows)


@pytest.mark.parametrize("count", [4, 12, 60, 400])
@pytest.mark.parametrize("seed", [3, 4, 5])
def test_classes_that_differ_by_their_cracks_alone_are_not_accused(count: int, seed: int) -> None:
    rows = _images(count, "Negative", seed) + _images(count, "Positive", seed + 100)
    assert compare_classes(rows).separations == []


def test_cameras_that_both_classes_were_taken_with_are_no_finding() -> None:
    cameras = [f"maker {number}" for number in range(30)]
    rows = [
        row
        for name, seed in (("Negative", 1), ("Positive", 2))
        for row in _images(200, name, seed, camera=lambda rng: str(rng.choice(cameras)))
    ]
    assert compare_classes(rows).separations == []


def test_a_camera_that_took_one_image_each_proves_nothing() -> None:
    numbers = iter(range(1000))
    rows = [
        row
        for name, seed in (("Negative", 1), ("Positive", 2))
        for row in _images(100, name, seed, camera=lambda _: f"camera {next(numbers)}")
    ]
    assert compare_classes(rows).separations == []


def test_a_weak_difference_is_no_finding() -> None:
    brighter = _images(200, "Positive", 2, brightness=lambda rng: float(rng.normal(140, 20)))
    assert compare_classes(_images(200, "Negative", 1) + brighter).separations == []


def test_of_three_classes_the_one_that_stands_out_is_named() -> None:
    rows = _images(60, "Crack", 1) + _images(60, "Sound", 2) + _images(60, "Stain", 3, width=640, height=480)
    found = compare_classes(rows).separations
    assert {(row.quality, row.class_name) for row in found} == {("width", "Stain"), ("height", "Stain")}


def test_copies_of_a_few_images_prove_nothing() -> None:
    few = _images(4, "Positive", 2, width=300)
    assert compare_classes(_images(60, "Negative", 1) + few * 20).separations == []


def test_statistics_are_those_of_each_class() -> None:
    rows = _images(50, "Negative", 1) + _images(30, "Positive", 2, width=300)
    by_class = compare_classes(rows).by_class
    assert {name: of[stored_example.WIDTH].median for name, of in by_class.items()} == {
        "Negative": 227,
        "Positive": 300,
    }
    brightness = np.array([row[2][stored_example.BRIGHTNESS] for row in rows[:50]])
    found = by_class["Negative"][stored_example.BRIGHTNESS]
    assert (found.count, found.missing) == (50, 0)
    assert (found.mean, found.min, found.max) == pytest.approx((brightness.mean(), brightness.min(), brightness.max()))
    assert sum(found.heights) == 50 and len(found.edges) == len(found.heights) + 1


def test_a_share_of_the_images_is_always_the_same() -> None:
    image = SampledImage(b"", "train", "Positive", 1, 1, 1, 1, 1, 1, 1, "png", "")
    drawn = [len(list(to_rows((b"", replace(image, path=str(number).encode())), 0.25))) for number in range(2000)]
    assert 400 < sum(drawn) < 600
    assert drawn[7] == len(list(to_rows((b"", replace(image, path=b"7")), 0.25)))
