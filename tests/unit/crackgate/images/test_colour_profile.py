"""Embedded profiles: colours become sRGB where that can be seen, and bytes stay where it cannot."""

import numpy as np
import pytest
from PIL import Image

from crackgate.images.image_file import canonical_image, viewer_pixels
from tests.helpers.image_files import (
    ADOBE_RGB,
    DISPLAY_P3,
    PRO_PHOTO,
    SRGB,
    TINY,
    encode,
    matrix_profile,
    noise,
    oriented,
    pixels_of,
    small_picture,
)

_VISIBLE = {
    "ProPhoto": (PRO_PHOTO, 1.8),
    "Adobe RGB": (ADOBE_RGB, 2.2),
    "Display P3": (DISPLAY_P3, None),
    "linear": (SRGB, 1.0),
}


def _in_srgb(pixels: np.ndarray, colorants: list[tuple[float, float, float]], gamma: float | None) -> np.ndarray:
    """The formula of the profile's standard, in floating point."""
    levels = pixels / 255
    own = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    linear = (levels**gamma if gamma else own) @ np.array(colorants) @ np.linalg.inv(np.array(SRGB))
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize(("colorants", "gamma"), _VISIBLE.values(), ids=_VISIBLE)
@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_colours_become_srgb(
    image_format: str, colorants: list[tuple[float, float, float]], gamma: float | None
) -> None:
    data = encode(small_picture(), image_format, icc_profile=matrix_profile(colorants, gamma))
    image = canonical_image(data, TINY)
    assert image.format == "png"
    shown = pixels_of(image.encoded)
    expected = _in_srgb(pixels_of(data), colorants, gamma)
    # Colours beyond sRGB are clipped in one way or another.
    inner = ((expected > 1) & (expected < 254)).all(axis=-1)
    assert inner.mean() > 0.2
    np.testing.assert_allclose(shown[inner], expected[inner], atol=4)
    np.testing.assert_array_equal(viewer_pixels(data, TINY), shown)
    again = canonical_image(image.encoded, TINY)
    assert again.encoded == image.encoded, "what is stored stays as it is"


@pytest.mark.parametrize("image_format", ["PNG", "JPEG"])
def test_a_profile_that_moves_nothing_keeps_the_bytes(image_format: str) -> None:
    data = encode(small_picture(), image_format, icc_profile=matrix_profile(SRGB, None))
    assert canonical_image(data, TINY).encoded == data
    # Grey is the same in P3 and sRGB.
    grey = encode(small_picture("L").convert("RGB"), image_format, icc_profile=matrix_profile(DISPLAY_P3, None))
    assert canonical_image(grey, TINY).encoded == grey


def test_a_grey_profile_moves_grey_pictures_alone() -> None:
    linear = matrix_profile([], 1.0)
    grey = canonical_image(encode(small_picture("L"), "PNG", icc_profile=linear), TINY)
    levels = np.asarray(small_picture("L")) / 255
    expected = 255 * np.where(levels <= 0.0031308, levels * 12.92, 1.055 * levels ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(grey.luma, expected, atol=4)
    colours = encode(small_picture(), "PNG", icc_profile=linear)
    assert canonical_image(colours, TINY).encoded == colours


def test_a_turned_picture_is_turned_and_converted() -> None:
    profile = matrix_profile(PRO_PHOTO, 1.8)
    lying = canonical_image(encode(small_picture(), "JPEG", icc_profile=profile), TINY)
    turned = canonical_image(encode(small_picture(), "JPEG", icc_profile=profile, exif=oriented(3)), TINY)
    np.testing.assert_array_equal(pixels_of(turned.encoded), pixels_of(lying.encoded)[::-1, ::-1])


@pytest.mark.parametrize("profile", [b"no profile", matrix_profile(SRGB, 1.0)[:200], bytes(500)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_broken_profile_costs_no_picture(profile: bytes, mode: str) -> None:
    data = encode(Image.fromarray(noise(33, 40, 3)).convert(mode), "JPEG", icc_profile=profile)
    np.testing.assert_array_equal(viewer_pixels(data, TINY), pixels_of(data))
