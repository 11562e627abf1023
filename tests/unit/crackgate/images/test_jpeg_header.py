"""A plain JPEG is read from its luma alone, and everything about it is what Pillow and TensorFlow would have said."""

import dataclasses
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crackgate.images.image_file import CanonicalImage, canonical_image
from crackgate.images.jpeg_header import read_header
from crackgate.images.rejection import RejectedImageError
from tests.helpers.image_files import TINY, encode, noise, oriented, small_picture

_PICTURE = Image.fromarray(noise(61, 83, 3))
_CAMERA = Image.Exif()
_CAMERA[0x010F], _CAMERA[0x0110], _CAMERA[0x0112] = "Canon", "EOS 80D", 1
_PLAIN: dict[str, bytes] = {
    "baseline": encode(_PICTURE, "JPEG"),
    "progressive": encode(_PICTURE, "JPEG", progressive=True),
    "grey": encode(_PICTURE.convert("L"), "JPEG"),
    "progressive grey": encode(_PICTURE.convert("L"), "JPEG", progressive=True),
    "all colours": encode(_PICTURE, "JPEG", subsampling=0),
    "colours in half the width": encode(_PICTURE, "JPEG", subsampling=1),
    "own codes": encode(_PICTURE, "JPEG", optimize=True),
    "restarts": encode(_PICTURE, "JPEG", restart_marker_rows=1),
    "coarse": encode(_PICTURE, "JPEG", quality=5),
    "smooth": encode(small_picture().resize((227, 227)), "JPEG", quality=90),
    "flat": encode(Image.new("RGB", (70, 64), (9, 90, 200)), "JPEG"),
    "one pixel": encode(_PICTURE.crop((0, 0, 1, 1)), "JPEG"),
    "stored as RGB": encode(_PICTURE, "JPEG", keep_rgb=True),
    "a comment": encode(_PICTURE, "JPEG", comment="a wall"),
    "a camera": encode(_PICTURE, "JPEG", exif=_CAMERA),
    "a resolution": encode(_PICTURE, "JPEG", dpi=(300, 300)),
}
_UNUSUAL: dict[str, bytes] = {
    "turned": encode(_PICTURE, "JPEG", exif=oriented(6)),
    "CMYK": encode(_PICTURE.convert("CMYK"), "JPEG"),
    "no JPEG": encode(_PICTURE, "PNG"),
    "no file": b"",
}


def _elsewhere(data: bytes) -> bytes:
    """The same file, but for a byte of padding, which the header's reader leaves to Pillow."""
    padded = data[:2] + b"\xff" + data[2:]
    assert read_header(padded) is None
    return padded


def _outcome(data: bytes) -> CanonicalImage | tuple[str, str]:
    try:
        return canonical_image(data, TINY)
    except RejectedImageError as rejection:
        return rejection.reason, rejection.detail


def _assert_same(one: bytes, other: bytes) -> None:
    found, expected = _outcome(one), _outcome(other)
    if isinstance(found, CanonicalImage) and isinstance(expected, CanonicalImage):
        np.testing.assert_array_equal(found.luma, expected.luma)
        if expected.format == "jpeg":
            expected = dataclasses.replace(expected, encoded=found.encoded)
        expected = dataclasses.replace(expected, file_bytes=found.file_bytes)
    assert found == expected


@pytest.mark.parametrize("data", _PLAIN.values(), ids=_PLAIN)
def test_a_plain_file_has_the_same_image_on_both_ways(data: bytes) -> None:
    header, image = read_header(data), canonical_image(data, TINY)
    assert header and (header.width, header.height) == (image.width, image.height)
    assert image.encoded == data
    _assert_same(data, _elsewhere(data))


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(sorted(_PLAIN)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3),
    st.floats(0.05, 1),
)
def test_a_damaged_file_has_the_same_outcome_on_both_ways(
    name: str, damages: list[tuple[float, int]], kept: float
) -> None:
    data = bytearray(_PLAIN[name])
    for place, value in damages:
        # Not in the first marker, so that the padding stands where it stood.
        data[4 + int(place * (len(data) - 4))] = value
    damaged = bytes(data[: 4 + int(kept * (len(data) - 4))])
    _assert_same(damaged, damaged[:2] + b"\xff" + damaged[2:])


@pytest.mark.parametrize("data", _PLAIN.values(), ids=_PLAIN)
def test_a_header_that_is_cut_is_none(data: bytes) -> None:
    scan = data.index(b"\xff\xda")
    assert not any(read_header(data[:end]) for end in range(scan))


@pytest.mark.parametrize("length", range(2, 8))
def test_a_frame_that_ends_with_the_file_is_none(length: int) -> None:
    data = b"\xff\xd8\xff\xc0" + length.to_bytes(2, "big") + b"\x08\x00\x01\x00\x01"[: length - 2]
    assert read_header(data) is None
    assert isinstance(_outcome(data), tuple)


@pytest.mark.parametrize("data", _UNUSUAL.values(), ids=_UNUSUAL)
def test_unusual_files_are_left_to_pillow(data: bytes) -> None:
    outcome = _outcome(data)
    assert not isinstance(outcome, CanonicalImage) or outcome.encoded != data or not data.startswith(b"\xff\xd8")


def test_threads_see_the_same_images_and_leave_the_warnings_as_they_were() -> None:
    files = [*_PLAIN.values(), *_UNUSUAL.values(), *map(_elsewhere, _PLAIN.values())] * 4
    expected = [_outcome(data) for data in files]
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(_outcome, files)) == expected
    assert warnings.filters == before
