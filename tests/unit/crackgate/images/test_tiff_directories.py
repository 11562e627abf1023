"""TIFFs whose first page is not the picture: camera raws, previews, masks."""

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from crackgate.images.image_file import canonical_image
from tests.helpers.image_files import TINY, encode, noise, rejection_of

_PREVIEW, _PICTURE = noise(40, 48, 3), noise(128, 160, 3, seed=1)
_SENSOR = noise(128, 160).astype(np.uint16) << 6
_COLOUR_FILTERS, _LINEAR_RAW = 32803, 34892


def _tiff(*pages: dict[str, Any], big: bool = False) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=big) as file:
        for page in pages:
            file.write(**page)
    return buffer.getvalue()


def _raw(make: str, photometric: int = _COLOUR_FILTERS, first: int = 1, **tags: Any) -> bytes:
    sensor = _SENSOR if photometric == _COLOUR_FILTERS else np.repeat(_SENSOR[..., None], 3, axis=-1)
    extra = [(271, 2, 0, make, True), *tags.get("extra", [])]
    return _tiff(
        {"data": _PREVIEW, "photometric": "rgb", "subifds": 1, "subfiletype": first, "extratags": extra},
        {"data": sensor, "photometric": photometric, "subfiletype": 0},
    )


_DNG = [(50706, 1, 4, b"\1\4\0\0", True)]
RAWS: dict[str, tuple[bytes, str]] = {
    "DNG": (_raw("Google", extra=_DNG), "DNG"),
    "DNG without a preview": (
        _tiff({"data": _SENSOR, "photometric": _COLOUR_FILTERS, "extratags": _DNG}),
        "DNG",
    ),
    "linear DNG": (_raw("Apple", _LINEAR_RAW, extra=_DNG), "DNG"),
    "NEF": (_raw("NIKON CORPORATION"), "NEF"),
    "NEF whose preview does not say so": (_raw("NIKON CORPORATION", first=0), "NEF"),
    "ARW": (_raw("SONY"), "ARW"),
    "PEF": (_raw("PENTAX Corporation"), "PEF"),
    "another maker's": (_raw("Phase One"), "its maker's own format"),
}


@pytest.mark.parametrize(("data", "name"), RAWS.values(), ids=RAWS)
def test_camera_raws_are_refused_by_name(data: bytes, name: str) -> None:
    rejection = rejection_of(data)
    assert rejection.reason == "format not supported"
    assert f"a camera raw ({name})" in rejection.detail
    assert "develop it to JPEG" in rejection.detail


def test_a_cr2_is_refused_by_its_mark() -> None:
    plain = _tiff({"data": _PREVIEW, "photometric": "rgb"})
    directory = int.from_bytes(plain[4:8], "little")
    # The directory, whose offsets are from the beginning, goes to the end of the file.
    marked = plain[:4] + len(plain).to_bytes(4, "little") + b"CR\2\0" + plain[12:] + plain[directory:]
    assert "camera raw (CR2)" in rejection_of(marked).detail


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(("subfile", "pixels"), [(1, _PREVIEW), (3, _PREVIEW), (4, _PREVIEW[..., 0] > 90)])
def test_a_preview_or_mask_on_the_first_page_is_refused(subfile: int, pixels: np.ndarray, big: bool) -> None:
    first = {"data": pixels, "subfiletype": subfile}
    data = _tiff(first, {"data": _PICTURE, "photometric": "rgb"}, big=big)
    assert "first page is not the picture: it says that it is a preview or a mask" in rejection_of(data).detail


def test_a_small_first_page_before_the_picture_is_refused() -> None:
    data = _tiff({"data": _PREVIEW, "photometric": "rgb"}, {"data": _PICTURE, "photometric": "rgb"})
    assert "a later page has 20480 pixels, the first only 1920" in rejection_of(data).detail


@pytest.mark.parametrize("big", [False, True])
def test_previews_behind_the_picture_are_no_further_frames(big: bool) -> None:
    picture = {"data": _PICTURE, "photometric": "rgb", "subifds": 1}
    smaller = {"data": _PREVIEW, "photometric": "rgb", "subfiletype": 1}
    image = canonical_image(_tiff(picture, smaller, {**smaller}, big=big), TINY)
    assert ((image.height, image.width), image.warning) == ((128, 160), "")


@pytest.mark.parametrize(("height", "width"), [(128, 160), (128, 161), (200, 200)])
def test_pages_of_nearly_one_size_are_frames(height: int, width: int) -> None:
    page = {"data": _PICTURE, "photometric": "rgb"}
    image = canonical_image(_tiff(page, {**page, "data": noise(height, width, 3, seed=2)}), TINY)
    assert image.warning == "first of several frames"
    assert (image.height, image.width) == (128, 160)


def test_a_first_page_of_half_the_sides_is_a_preview() -> None:
    page = {"data": _PICTURE, "photometric": "rgb"}
    data = _tiff(page, {**page, "data": noise(256, 320, 3, seed=2)})
    assert "a later page has 81920 pixels, the first only 20480" in rejection_of(data).detail


def test_directories_that_form_a_loop_end() -> None:
    data = bytearray(_tiff({"data": _PICTURE, "photometric": "rgb"}))
    first = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[first : first + 2], "little")
    following = first + 2 + 12 * entries
    data[following : following + 4] = first.to_bytes(4, "little")
    assert canonical_image(bytes(data), TINY).width == 160


def test_a_jpeg_that_is_smaller_than_its_strip_is_refused_and_one_that_fills_it_is_not() -> None:
    picture = Image.fromarray(noise(41, 300, 3))
    sound = encode(picture, "TIFF", compression="jpeg")
    assert canonical_image(sound, TINY).height == 41
    frame = sound.index(b"\xff\xc0")
    for place, said in ((frame + 6, "300x16 pixels"), (frame + 8, "272x41 pixels")):
        damaged = bytearray(sound)
        damaged[place] = 16
        rejection = rejection_of(bytes(damaged))
        assert rejection.reason == "unreadable" and said in rejection.detail
    strips = encode(Image.fromarray(noise(200, 300, 3)), "TIFF", compression="jpeg", tiffinfo={278: 64})
    assert canonical_image(strips, TINY).height == 200
