"""The measures of a picture follow their definitions and stay in their ranges."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageFilter

from crackgate.config.schema import SchemaOptions
from crackgate.images.image_file import canonical_image
from crackgate.images.quality import measure
from tests.helpers.image_files import TINY, encode, noise, oriented, small_picture


@pytest.mark.parametrize(
    ("colors", "brightness", "contrast"),
    [
        (((0, 0, 0), (0, 0, 0)), 0, 0),
        (((255, 255, 255), (255, 255, 255)), 255, 0),
        (((0, 0, 0), (255, 255, 255)), 127.5, 127.5),
        (((90, 90, 90), (110, 110, 110)), 100, 10),
        # ITU-R 601 luma: 0.299 red, 0.587 green, 0.114 blue, rounded.
        (((255, 0, 0), (255, 0, 0)), 76, 0),
        (((0, 255, 0), (0, 255, 0)), 150, 0),
        (((0, 0, 255), (0, 0, 255)), 29, 0),
    ],
)
@pytest.mark.parametrize("image_format", ["PNG", "BMP"])
def test_brightness_and_contrast_are_mean_and_deviation_of_the_luma(
    image_format: str, colors: tuple[tuple[int, int, int], ...], brightness: float, contrast: float
) -> None:
    halves = Image.new("RGB", (40, 40), colors[0])
    halves.paste(colors[1], (20, 0, 40, 40))
    quality = measure(canonical_image(encode(halves, image_format), TINY).luma)
    assert quality.brightness == pytest.approx(brightness)
    assert quality.contrast == pytest.approx(contrast)


def test_the_measurements_are_those_of_the_picture_that_is_stored() -> None:
    turned = canonical_image(encode(small_picture(), "PNG", exif=oriented(6)), TINY)
    again = canonical_image(turned.encoded, TINY)
    assert dataclasses.replace(again, file_bytes=turned.file_bytes) == turned
    assert measure(turned.luma) == measure(again.luma)


def _laplacian_by_hand(luma: np.ndarray) -> list[int]:
    rows = luma.astype(int).tolist()
    return [
        rows[y - 1][x] + rows[y + 1][x] + rows[y][x - 1] + rows[y][x + 1] - 4 * rows[y][x]
        for y in range(1, len(rows) - 1)
        for x in range(1, len(rows[0]) - 1)
    ]


_LUMA = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


@settings(deadline=None)
@given(_LUMA)
def test_every_measure_follows_its_definition(luma: np.ndarray) -> None:
    quality = measure(luma)
    assert quality.brightness == pytest.approx(luma.mean())
    assert quality.contrast == pytest.approx(luma.std(), abs=1e-6)
    responses = _laplacian_by_hand(luma)
    assert quality.sharpness == pytest.approx(np.var(responses) if responses else 0, rel=1e-9, abs=1e-6)
    counts = np.unique(luma, return_counts=True)[1]
    assert quality.entropy == pytest.approx(-sum(count / luma.size * np.log2(count / luma.size) for count in counts))


@settings(deadline=None)
@given(_LUMA)
def test_no_picture_leaves_the_ranges_that_the_schema_allows_by_default(luma: np.ndarray) -> None:
    quality, bounds = measure(luma), SchemaOptions()
    for name, value in dataclasses.asdict(quality).items():
        allowed = getattr(bounds, name)
        # As they are stored.
        assert allowed.min <= np.float32(value) <= allowed.max


@settings(deadline=None)
@given(_LUMA, st.integers(0, 255))
def test_a_constant_added_to_all_levels_shifts_the_brightness_and_nothing_else(luma: np.ndarray, added: int) -> None:
    darker = np.minimum(luma, 255 - added)
    before, after = measure(darker), measure(darker + np.uint8(added))
    assert after.brightness == pytest.approx(before.brightness + added)
    assert after.contrast == pytest.approx(before.contrast, abs=1e-6)
    assert (after.sharpness, after.entropy) == (before.sharpness, before.entropy)


@settings(deadline=None)
@given(_LUMA, st.integers(0, 3))
def test_turning_or_mirroring_a_picture_changes_no_measure(luma: np.ndarray, turns: int) -> None:
    before = dataclasses.asdict(measure(luma))
    assert dataclasses.asdict(measure(np.rot90(luma, turns))) == pytest.approx(before)
    assert dataclasses.asdict(measure(luma[:, ::-1])) == pytest.approx(before)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.floats(0.5, 4))
def test_blur_lowers_the_sharpness(seed: int, grain: int, radius: float) -> None:
    grains = Image.fromarray(noise(-(-40 // grain), -(-40 // grain), seed=seed))
    picture = grains.resize((40, 40), Image.Resampling.NEAREST)
    blurred = picture.filter(ImageFilter.GaussianBlur(radius))
    assert measure(np.asarray(blurred)).sharpness < measure(np.asarray(picture)).sharpness


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_blank_picture_has_a_brightness_and_nothing_else(level: int) -> None:
    quality = measure(np.full((32, 40), level, np.uint8))
    assert dataclasses.astuple(quality) == (level, 0, 0, 0)


def test_all_levels_equally_often_have_eight_bits_of_entropy() -> None:
    assert measure(np.arange(256, dtype=np.uint8).reshape(16, 16)).entropy == 8


def test_the_sharpest_picture_is_a_chessboard_of_black_and_white() -> None:
    chessboard = (np.indices((34, 34)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert measure(chessboard).sharpness == 1020**2 == SchemaOptions().sharpness.max


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 40), (40, 2)])
def test_a_picture_too_thin_for_the_laplacian_has_no_sharpness(height: int, width: int) -> None:
    assert measure(noise(height, width)).sharpness == 0
