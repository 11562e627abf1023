"""Sixteen bits: scaled by a declared range, refused where nobody can tell which sample is white."""

import numpy as np
import pytest

from crackgate.images.image_file import canonical_image
from tests.helpers.image_files import (
    SIXTEEN_BITS,
    TINY,
    grey_tiff,
    noise,
    pixels_of,
    png_chunk,
    raw_png,
    raw_tiff,
    rejection_of,
    rgb16_tiff,
)

_TWELVE = SIXTEEN_BITS >> 4
_FOURTEEN = SIXTEEN_BITS >> 2
_THERMAL = (29_315 + (SIXTEEN_BITS >> 5)).astype(np.uint16)
_LOW = {"12 bits": _TWELVE, "14 bits": _FOURTEEN, "around one value": (7200 + (SIXTEEN_BITS >> 8)).astype(np.uint16)}
_LOW |= {"thermal": _THERMAL, "black": np.zeros_like(SIXTEEN_BITS), "white": np.full_like(SIXTEEN_BITS, 65535)}


def _grey_png(samples: np.ndarray, bits: int | None = None) -> bytes:
    extra = b"" if bits is None else png_chunk(b"sBIT", bytes([bits]))
    return raw_png(samples.shape[1], samples.shape[0], 16, 0, [row.astype(">u2").tobytes() for row in samples], extra)


def _rgb_png(samples: np.ndarray) -> bytes:
    colours = np.repeat(samples[..., None], 3, axis=-1).astype(">u2")
    return raw_png(samples.shape[1], samples.shape[0], 16, 2, [row.tobytes() for row in colours])


@pytest.mark.parametrize("samples", _LOW.values(), ids=_LOW)
def test_samples_that_fill_little_of_the_range_are_refused_with_it(samples: np.ndarray) -> None:
    for data in (_grey_png(samples), grey_tiff(samples), grey_tiff(samples, ">", deflated=True)):
        rejection = rejection_of(data)
        assert rejection.reason == "format not supported"
        assert f"16-bit samples fill {samples.min()} to {samples.max()} of 0 to 65535" in rejection.detail
        assert "sBIT" in rejection.detail and "280 and 281" in rejection.detail


@pytest.mark.parametrize("samples", _LOW.values(), ids=_LOW)
def test_colours_that_fill_little_of_the_range_are_refused_too(samples: np.ndarray) -> None:
    colours = np.repeat(samples[..., None], 3, axis=-1)
    for data in (_rgb_png(samples), rgb16_tiff(colours, "<"), rgb16_tiff(colours, ">")):
        assert "16-bit samples fill" in rejection_of(data).detail


def test_a_few_white_pixels_do_not_hide_a_low_range() -> None:
    samples = np.resize(_TWELVE, (100, 100))
    samples[50, 50] = 65535
    assert "16-bit samples fill 0 to 65535" in rejection_of(_grey_png(samples)).detail


def test_a_narrow_but_plausible_range_is_taken() -> None:
    samples = (30_000 + (SIXTEEN_BITS >> 3)).astype(np.uint16)
    image = canonical_image(_grey_png(samples), TINY)
    np.testing.assert_array_equal(image.luma, samples >> 8)


@pytest.mark.parametrize(("samples", "bits"), [(_TWELVE, 12), (_FOURTEEN, 14), (SIXTEEN_BITS >> 6, 10)])
def test_significant_bits_of_a_png_scale_it(samples: np.ndarray, bits: int) -> None:
    expected = np.floor(samples / (2**bits - 1) * 255).astype(np.uint8)
    stored = canonical_image(_grey_png(samples, bits), TINY)
    np.testing.assert_array_equal(stored.luma, expected)
    np.testing.assert_array_equal(pixels_of(stored.encoded)[..., 1], expected)


def test_significant_bits_are_the_upper_ones_where_samples_use_them() -> None:
    dark = (SIXTEEN_BITS // 8) & 0xFFF0
    np.testing.assert_array_equal(canonical_image(_grey_png(dark, 12), TINY).luma, dark >> 8)


@pytest.mark.parametrize("bits", [0, 17, 255])
def test_significant_bits_that_cannot_be_declare_nothing(bits: int) -> None:
    assert "16-bit samples fill" in rejection_of(_grey_png(_TWELVE, bits)).detail


@pytest.mark.parametrize(
    ("samples", "low", "high"), [(_TWELVE, 0, 4095), (_FOURTEEN, 0, 16383), (_THERMAL, 29_000, 32_000)]
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_declared_samples_of_a_tiff_scale_it(samples: np.ndarray, low: int, high: int, order: str) -> None:
    expected = np.floor((samples.astype(float) - low) / (high - low) * 255).astype(np.uint8)
    stored = canonical_image(grey_tiff(samples, order, t280=(low,), t281=(high,)), TINY)
    np.testing.assert_allclose(stored.luma, expected, atol=1)
    assert int(stored.luma.max()) - int(stored.luma.min()) > 100


def test_a_dark_tiff_that_declares_the_whole_range_is_taken() -> None:
    stored = canonical_image(grey_tiff(_TWELVE, t280=(0,), t281=(65535,)), TINY)
    np.testing.assert_array_equal(stored.luma, _TWELVE >> 8)


def test_samples_beyond_the_declared_ones_are_refused() -> None:
    detail = rejection_of(grey_tiff(SIXTEEN_BITS, t280=(0,), t281=(4095,))).detail
    assert "from 0 to 65535, but the file declares 0 to 4095" in detail


def test_uncompressed_planes_are_refused() -> None:
    planes = np.moveaxis(noise(33, 40, 3).astype(np.uint16) * 257, -1, 0)
    size = planes[0].nbytes
    tags = {256: (40,), 257: (33,), 258: (16, 16, 16), 259: (1,), 262: (2,), 277: (3,), 278: (33,), 284: (2,)}
    data = raw_tiff(tags, planes.tobytes())
    assert size * 3 < len(data)
    assert "planes of 16 bits: save it with interleaved samples" in rejection_of(data).detail
