"""What is refused by its header or size, with a reason, before anything is decoded."""

import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from crackgate.contracts.image_limits import ImageLimits
from crackgate.images import tensorflow_pixels
from crackgate.images.image_file import canonical_image, viewer_pixels
from crackgate.images.rejection import RejectedImageError
from tests.helpers.image_files import (
    KEPT,
    REWRITTEN,
    SIXTEEN_BITS,
    TINY,
    animated_webp,
    encode,
    grey_tiff,
    noise,
    noise_rows,
    png_chunk,
    raw_png,
    rejection_of,
    small_picture,
)


def _with_byte_flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


@pytest.mark.parametrize(
    ("data", "limits", "reason", "detail"),
    [
        (b"", TINY, "empty file", "0 bytes"),
        (b"not a picture", TINY, "not an image", "not a pictur"),
        (b"\xff\xd8", TINY, "not an image", "xd8"),
        (
            encode(small_picture(), "PPM"),
            TINY,
            "format not supported",
            "PPM, allowed are JPEG, PNG, BMP, WEBP, TIFF, GIF",
        ),
        (encode(small_picture(), "TGA"), TINY, "format not supported", "TGA"),
        (encode(small_picture("F"), "TIFF"), TINY, "format not supported", "which of them is white"),
        (encode(small_picture("I"), "TIFF"), TINY, "format not supported", "which of them is white"),
        (grey_tiff(SIXTEEN_BITS, t339=(2,)), TINY, "format not supported", "which of them is white"),
        (grey_tiff(SIXTEEN_BITS, t258=(12,)), TINY, "format not supported", "TIFF of (12,) bits"),
        (grey_tiff(SIXTEEN_BITS, t262=(0,)), TINY, "format not supported", "TIFF of (16,) bits, photometric 0"),
        (KEPT["RGB JPEG"][:-100], TINY, "truncated", "truncated"),
        (KEPT["RGB PNG"][:-100], TINY, "truncated", "truncated"),
        (REWRITTEN["BMP"][:-100], TINY, "truncated", "truncated"),
        (REWRITTEN["GIF"][:-100], TINY, "truncated", "truncated"),
        (REWRITTEN["big-endian TIFF"][:-100], TINY, "truncated", "truncated"),
        (grey_tiff(SIXTEEN_BITS, deflated=True)[:-100], TINY, "truncated", "decoder error"),
        (KEPT["RGB JPEG"][:200], TINY, "truncated", "begins like JPEG: "),
        (KEPT["RGB PNG"][:20], TINY, "truncated", "begins like PNG: "),
        (REWRITTEN["lossy WebP"][:-100], TINY, "truncated", "begins like WEBP: "),
        (REWRITTEN["BMP"][:20], TINY, "truncated", "begins like BMP: "),
        (REWRITTEN["GIF"][:10], TINY, "truncated", "begins like GIF: "),
        (REWRITTEN["big-endian TIFF"][:8], TINY, "truncated", "begins like TIFF: "),
        (_with_byte_flipped(KEPT["RGB PNG"], 29), TINY, "unreadable", "begins like PNG: "),
        (_with_byte_flipped(REWRITTEN["lossy WebP"], 23), TINY, "unreadable", "begins like WEBP: "),
        (KEPT["RGB JPEG"].replace(b"\xff\xc0", b"\xff\xc2"), TINY, "unreadable", "broken data stream"),
        (_with_byte_flipped(KEPT["RGB PNG"], 60), TINY, "unreadable", "data stream"),
        (b"RIFF\4\0\0\0WAVE", TINY, "not an image", "WAVE"),
        (b"BMW", TINY, "not an image", "BMW"),
        (KEPT["RGB PNG"], ImageLimits(min_side=34), "too small", "40x33 pixels, each side needs 34"),
        (KEPT["RGB PNG"], ImageLimits(max_pixels=40 * 33 - 1), "too large", "40x33 pixels, allowed are 1319 in all"),
        (KEPT["RGB PNG"], ImageLimits(max_bytes=100), "too large", "bytes, allowed are 100"),
    ],
)
def test_what_cannot_be_used_is_refused_with_reason_and_detail(
    data: bytes, limits: ImageLimits, reason: str, detail: str
) -> None:
    rejection = rejection_of(data, limits)
    assert rejection.reason == reason
    assert detail in rejection.detail
    assert str(rejection) == f"{rejection.reason}: {rejection.detail}"


def test_a_picture_exactly_at_every_limit_is_accepted() -> None:
    data = KEPT["RGB PNG"]
    limits = ImageLimits(min_side=33, max_pixels=40 * 33, max_bytes=len(data))
    assert canonical_image(data, limits).encoded == data


_BOMBS: dict[str, bytes] = {
    "PNG above the limit": raw_png(7072, 7071, 8, 2, []),
    "PNG above Pillow's limit": raw_png(20_000, 20_000, 8, 2, []),
    "PNG as large as a header can say": raw_png(2**31 - 1, 2**31 - 1, 8, 2, []),
    "PNG longer than TensorFlow reads": raw_png(1_000_001, 32, 8, 2, []),
    "TIFF above the limit": grey_tiff(noise(33, 40), t256=(7072,), t257=(7071,)),
    "TIFF above Pillow's limit": grey_tiff(noise(33, 40), deflated=True, t256=(100_000,), t257=(100_000,)),
    "TIFF as large as a header can say": grey_tiff(noise(33, 40), t256=(2**32 - 1,), t257=(2**32 - 1,)),
    "small TIFF in one huge tile": grey_tiff(noise(33, 40), deflated=True, t322=(7072,), t323=(7071,)),
    "WebP above the limit": animated_webp(7072, 7071),
    "WebP above Pillow's limit": animated_webp(16_384, 16_384),
    "WebP as large as a header can say": animated_webp(2**24, 2**8 - 1),
    "GIF above the limit": b"GIF89a" + struct.pack("<HH", 7072, 7071) + REWRITTEN["GIF"][10:],
    "GIF above Pillow's limit": b"GIF89a" + struct.pack("<HH", 65535, 65535) + REWRITTEN["GIF"][10:],
}


_UNPACKS_TO_MEGABYTES = b"name\0\0" + zlib.compress(bytes(3_000_000))


# Pillow reads no colour profile behind the pixels.
@pytest.mark.parametrize(("name", "place"), [(b"zTXt", "extra"), (b"zTXt", "late"), (b"iCCP", "extra")])
def test_metadata_that_unpacks_to_megabytes_is_refused_as_too_large(name: bytes, place: str) -> None:
    bomb = raw_png(40, 33, 8, 2, noise_rows(40 * 3, 33), **{place: png_chunk(name, _UNPACKS_TO_MEGABYTES)})
    assert rejection_of(bomb).reason == "too large"


@pytest.mark.usefixtures("pillow_decodes_nothing")
@pytest.mark.parametrize("bomb", _BOMBS.values(), ids=_BOMBS)
def test_a_decompression_bomb_is_refused_by_its_header_alone(bomb: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorflow_pixels, "_decoder", None)
    assert rejection_of(bomb, ImageLimits()).reason == "too large"


def test_the_pictures_made_large_are_fine_at_their_own_size() -> None:
    # What the bombs above are made of, so that it is the size that is refused there.
    for data in (grey_tiff(noise(33, 40), deflated=True), animated_webp(40, 33), REWRITTEN["GIF"]):
        image = canonical_image(data, ImageLimits())
        assert (image.width, image.height) == (40, 33)


def test_a_tile_whose_size_is_no_number_is_refused() -> None:
    tiff = grey_tiff(noise(48, 64), deflated=True, t322=(64,), t323=(48,))
    assert canonical_image(tiff, TINY).format == "png"
    number, text = struct.pack("<HH", 322, 4), struct.pack("<HH", 322, 2)
    assert tiff.count(number) == 1
    rejection = rejection_of(tiff.replace(number, text))
    assert rejection.reason == "unreadable"
    assert rejection.detail == "tiles of '@' x 48"


@pytest.mark.parametrize("kind", ["BMP", "CMYK JPEG", "16-bit PNG"])
def test_pixels_are_held_once_beside_pillows(kind: str) -> None:
    side = 2500
    ramp = np.arange(side) * 65535 // side
    if kind == "16-bit PNG":
        data = raw_png(side, side, 16, 2, [np.repeat(ramp, 3).astype(">u2").tobytes()] * side)
    else:
        shown = Image.fromarray(np.tile((ramp >> 8).astype(np.uint8), (side, 1)))
        data = encode(shown.convert("CMYK"), "JPEG") if kind == "CMYK JPEG" else encode(shown.convert("RGB"), kind)
    tracemalloc.start()
    try:
        pixels = viewer_pixels(data, ImageLimits())
        # Three bytes each, and a strip; Pillow's memory does not count.
        assert tracemalloc.get_traced_memory()[1] < 5 * side**2
    finally:
        tracemalloc.stop()
    assert pixels.shape == (side, side, 3)
    assert pixels[0, 0].max() < 2 and pixels[-1, -1].min() > 252


_MANY = 200_000
_JPEG, _PNG = KEPT["RGB JPEG"], KEPT["RGB PNG"]
_GIF = b"GIF89a" + struct.pack("<HHBBB", 64, 64, 0x80, 0, 0) + bytes(6)
_RLE_BMP = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 1078, 40, 2000, 1000, 1, 8, 1, 0, 0, 0, 0, 0) + bytes(1024)


@pytest.mark.parametrize(
    "data",
    [
        _JPEG[:2] + b"\xff" * _MANY + _JPEG[2:],
        _JPEG[:20] + b"\0" * _MANY + _JPEG[20:],
        _JPEG[:2] + b"\xff\xfe\0\2" * _MANY + _JPEG[2:],
        _PNG[:33] + png_chunk(b"abCd", b"") * _MANY + _PNG[33:],
        _PNG[:-12] + png_chunk(b"abCd", b"") * _MANY + _PNG[-12:],
        _GIF + b"!\xfe" + b"\1x" * _MANY + b"\0;",
        _GIF + b"!\1\0" * 3 * _MANY + b";",
        _RLE_BMP + b"\1\7" * _MANY,
        b"/* XPM */" + b"\n" * _MANY,
        grey_tiff(SIXTEEN_BITS, t324=(8,) * 2 * _MANY),
        grey_tiff(SIXTEEN_BITS, t50000=(7,) * 2 * _MANY),
    ],
    ids=[
        "fill bytes",
        "bytes between segments",
        "segments",
        "chunks",
        "late chunks",
        "GIF blocks",
        "GIF extensions",
        "BMP runs",
        "lines",
        "TIFF strips",
        "TIFF values",
    ],
)
def test_structures_that_are_read_part_by_part_keep_nobody_waiting(data: bytes) -> None:
    started = time.process_time()
    with pytest.raises(RejectedImageError, match=r"too large: its \d+ bytes are in more than \d+ parts: save it again"):
        viewer_pixels(data, ImageLimits())
    assert time.process_time() - started < 3


def test_notes_of_a_million_values_are_passed_over() -> None:
    notes = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", 274, 5, 10**6, 26) + bytes(4) + b"\6\0\0\0\1\0\0\0" * 10**6
    started = time.process_time()
    assert canonical_image(_PNG[:33] + png_chunk(b"eXIf", notes) + _PNG[33:], TINY).camera == ""
    assert time.process_time() - started < 3


def test_a_large_png_in_the_usual_parts_is_taken() -> None:
    width, height = 3000, 2000
    rows = np.random.default_rng(0).integers(0, 256, (height, 3 * width), np.uint8)
    data = raw_png(width, height, 8, 2, [row.tobytes() for row in rows])
    start, stop = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    stream = data[start + 8 : stop - 4]
    parts = b"".join(png_chunk(b"IDAT", stream[first : first + 8192]) for first in range(0, len(stream), 8192))
    np.testing.assert_array_equal(
        viewer_pixels(data[:start] + parts + data[stop:], ImageLimits())[-1, -1], rows[-1, -3:]
    )


def test_a_large_gif_of_one_frame_is_taken_for_no_animation() -> None:
    shown = encode(Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (64, 1))), "GIF")
    # As noise of 30 megapixels has them.
    data = shown[:-2] + (b"\xff" + bytes(255)) * 160_000 + shown[-2:]
    assert canonical_image(data, ImageLimits()).warning == ""
