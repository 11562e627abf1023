"""Copies are one picture whatever was done to them, until one of them shows what the other does not."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from crackgate.images.copies.difference import differ
from crackgate.images.sample_data import draw_photograph

Change = Callable[[Image.Image], Image.Image]

SEEDS = range(6)


def _photograph(seed: int, size: int = 227) -> Image.Image:
    return draw_photograph(cracked=seed % 2 == 1, rng=np.random.default_rng(seed), size=size)


def _differ(one: Image.Image, other: Image.Image) -> bool:
    return differ(*(np.asarray(image.convert("L")) for image in (one, other)))


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _hairline(image: Image.Image, width: int = 1) -> Image.Image:
    """A crack that is 30 grey levels darker than the surface."""
    side = image.width
    mask = Image.new("L", image.size)
    points = [
        (side * 0.3, side * 0.3),
        (side * 0.36, side * 0.42),
        (side * 0.33, side * 0.55),
        (side * 0.42, side * 0.7),
    ]
    ImageDraw.Draw(mask).line(points, fill=255, width=width)
    darker = Image.fromarray((np.asarray(image).astype(np.int16) - 30).clip(0).astype(np.uint8))
    return Image.composite(darker, image, mask)


def _arrow(image: Image.Image) -> Image.Image:
    marked = image.copy()
    ImageDraw.Draw(marked).line([(20, 20), (60, 60)], fill=(220, 30, 30), width=3)
    return marked


SAME: dict[str, Change] = {
    "none": lambda image: image,
    "jpeg": lambda image: _jpeg(image, 75),
    "mirrored": ImageOps.mirror,
    "turned, darker": lambda image: ImageEnhance.Brightness(image.transpose(Image.Transpose.ROTATE_90)).enhance(0.7),
    "smaller": lambda image: image.resize((image.width * 2 // 3, image.height * 2 // 3), Image.Resampling.BICUBIC),
    "wider": lambda image: image.resize((image.width * 2, image.height), Image.Resampling.BICUBIC),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.6),
    "grey": ImageOps.grayscale,
}
DIFFERENT: dict[str, Change] = {
    "hairline": _hairline,
    "hairline, jpeg": lambda image: _jpeg(_hairline(image), 75),
    "hairline, mirrored": lambda image: ImageOps.mirror(_hairline(image)),
    "hairline, smaller": lambda image: _hairline(image, 2).resize((150, 150), Image.Resampling.BICUBIC),
    "arrow": _arrow,
}


@pytest.mark.parametrize("change", SAME)
def test_a_copy_is_the_same_picture(change: str) -> None:
    assert not any(_differ(_photograph(seed), SAME[change](_photograph(seed))) for seed in SEEDS)


@pytest.mark.parametrize("change", DIFFERENT)
def test_a_place_that_only_one_shows_is_a_difference(change: str) -> None:
    assert all(_differ(_photograph(seed), DIFFERENT[change](_photograph(seed))) for seed in SEEDS)
    assert all(_differ(DIFFERENT[change](_photograph(seed)), _photograph(seed)) for seed in SEEDS)


def test_a_hairline_in_a_large_photograph_is_a_difference() -> None:
    photograph = _photograph(0, 227).resize((1800, 1800), Image.Resampling.BICUBIC)
    assert not _differ(photograph, _jpeg(photograph, 75))
    assert _differ(photograph, _hairline(photograph, 4))


def test_different_photographs_differ() -> None:
    assert _differ(_photograph(0), _photograph(2))


def test_blank_images_differ_by_their_pixels() -> None:
    blank, another = (Image.new("L", (64, 64), grey) for grey in (128, 129))
    assert not _differ(blank, blank)
    assert _differ(blank, another)
