"""JPEGs that lost a part of their scan are refused, and no others."""

import io

import pytest
from PIL import Image

from crackgate.contracts.image_limits import ImageLimits
from crackgate.images.image_file import canonical_image, viewer_pixels
from tests.helpers.image_files import TINY, encode, noise, rejection_of

_END = b"\xff\xd9"
_PICTURE = Image.fromarray(noise(64, 80, 3))
_KINDS: dict[str, bytes] = {
    "baseline": encode(_PICTURE, "JPEG"),
    "progressive": encode(_PICTURE, "JPEG", progressive=True),
    "grayscale": encode(_PICTURE.convert("L"), "JPEG"),
    "CMYK": encode(_PICTURE.convert("CMYK"), "JPEG"),
    "with restarts": encode(_PICTURE, "JPEG", restart_marker_rows=1),
    "two pictures": encode(_PICTURE, "MPO", save_all=True, append_images=[_PICTURE.convert("L")]),
}


@pytest.mark.parametrize("data", _KINDS.values(), ids=_KINDS)
@pytest.mark.parametrize("share", [0.45, 0.6, 0.9])
def test_a_scan_that_ends_early_is_refused_although_the_end_is_marked(data: bytes, share: float) -> None:
    if data is _KINDS["two pictures"]:
        data = data[: data.index(b"\xff\xd8\xff", 2)]
    rejection = rejection_of(data[: int(share * len(data))].rstrip(b"\xff") + _END)
    assert rejection.reason == "truncated"
    assert "premature end" in rejection.detail.lower()
    assert "copy the file again" in rejection.detail


def test_a_hole_in_the_middle_is_refused() -> None:
    data = _KINDS["with restarts"]
    restart = data.index(b"\xff\xd1")
    for header in (data[: restart - 200], data[: restart - 200].replace(b"\xff\xdb", b"\0\0\xff\xdb", 1)):
        rejection = rejection_of(header + data[restart + 400 :])
        assert rejection.reason in ("unreadable", "truncated")
        assert "libjpeg" in rejection.detail


@pytest.mark.parametrize("data", _KINDS.values(), ids=_KINDS)
def test_whole_scans_are_taken(data: bytes) -> None:
    whole = canonical_image(data, TINY)
    assert (whole.width, whole.height) == (80, 64)


def test_bytes_too_many_cost_no_picture() -> None:
    data = _KINDS["baseline"]
    whole = canonical_image(data, TINY).luma
    for harmless in (data[:-2] + b"\0\0" + _END, data + b"camera", data + _END):
        assert (canonical_image(harmless, TINY).luma == whole).all()


_SEGMENTS = {"quantisation": b"\xff\xdb", "Huffman codes": b"\xff\xc4", "the scan": b"\xff\xda"}


@pytest.mark.parametrize("marker", _SEGMENTS.values(), ids=_SEGMENTS)
@pytest.mark.parametrize("padding", [b"\0", b"\0\0\0\0", b"pad", b"\xff\0\0", b"\xff\xff"])
@pytest.mark.parametrize("kind", ["baseline", "progressive", "with restarts", "CMYK"])
def test_padding_in_the_header_costs_no_picture_and_hides_no_damage(kind: str, padding: bytes, marker: bytes) -> None:
    data = _KINDS[kind]
    place = data.index(marker)
    padded = data[:place] + padding + data[place:]
    assert (viewer_pixels(padded, TINY) == viewer_pixels(data, TINY)).all()
    assert rejection_of(padded[: int(0.6 * len(padded))].rstrip(b"\xff") + _END).reason == "truncated"


def test_photographs_of_any_size_are_taken() -> None:
    for side in (32, 33, 47, 512):
        buffer = io.BytesIO()
        Image.fromarray(noise(side, side + 3, 3)).save(buffer, "JPEG")
        assert canonical_image(buffer.getvalue(), ImageLimits()).height == side


@pytest.mark.parametrize(("scans", "side", "passes"), [(16, 4000, True), (200, 4000, False), (200, 400, True)])
def test_scans_that_would_take_minutes_are_refused_before_one_is_read(scans: int, side: int, passes: bool) -> None:
    picture = encode(Image.new("RGB", (side, side), (90, 90, 90)), "JPEG", progressive=True)
    last = picture.rindex(b"\xff\xda")
    data = picture[:-2] + picture[last:-2] * (scans - picture.count(b"\xff\xda")) + _END
    if passes:
        assert canonical_image(data, ImageLimits()) is not None
        return
    rejection = rejection_of(data)
    assert rejection.reason == "too large" and f"200 scans of {side * side} pixels" in rejection.detail
