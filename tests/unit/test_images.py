"""One image file: kept as it is, written again as PNG, or refused with a reason, and never anything else."""

import dataclasses
import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import ExifTags, Image, ImageFile, ImageFilter, TiffImagePlugin, WebPImagePlugin

from components import images
from components.images import CanonicalImage, ImageLimits, RejectedImageError, canonical_image
from components.quality import measure
from pipeline.config import SchemaOptions
from trainer.decoding import decode_image

TINY = ImageLimits(min_side=1)


def _encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=image_format, **options)
    return buffer.getvalue()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _raw_png(
    width: int, height: int, depth: int, color_type: int, rows: list[bytes], extra: bytes = b"", late: bytes = b""
) -> bytes:
    """A PNG chunk by chunk, for what Pillow does not write: `extra` chunks before the pixels, `late` ones behind."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + late + _chunk(b"IEND", b"")


def _raw_tiff(tags: dict[int, tuple[int, ...]], data: bytes, order: str = "<") -> bytes:
    """A TIFF tag by tag, its directory before its `data`, which stand in one strip, or in one tile if there are tags.

    Tags: 256 width, 257 height, 258 bits, 259 compression, 262 photometric, 273 and 279 strip, 277 samples, 278 rows
    per strip, 322 and 323 tile width and length, 324 and 325 tile, 339 kind of sample.
    """
    place, size = (324, 325) if 322 in tags else (273, 279)

    def up_to_the_data(offset: int) -> bytes:
        complete = {**tags, place: (offset,), size: (len(data),)}
        entries, values = b"", b""
        for tag, content in sorted(complete.items()):
            packed = struct.pack(f"{order}{len(content)}I", *content)
            if len(content) > 1:
                packed, values = struct.pack(f"{order}I", 14 + 12 * len(complete) + len(values)), values + packed
            entries += struct.pack(f"{order}HHI", tag, 4, len(content)) + packed
        magic = b"II*\0" if order == "<" else b"MM\0*"
        return magic + struct.pack(f"{order}IH", 8, len(complete)) + entries + bytes(4) + values

    return up_to_the_data(len(up_to_the_data(0))) + data


def _grey_tiff(samples: np.ndarray, order: str = "<", deflated: bool = False, **tags: tuple[int, ...]) -> bytes:
    """A grayscale TIFF of samples of any width; `tags` as "t262"."""
    height, width = samples.shape
    raw = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    common: dict[int, tuple[int, ...]] = {256: (width,), 257: (height,), 258: (samples.itemsize * 8,)}
    common |= {259: (8 if deflated else 1,), 262: (1,), 277: (1,), 278: (height,)}
    common |= {int(name[1:]): value for name, value in tags.items()}
    return _raw_tiff(common, zlib.compress(raw) if deflated else raw, order)


def _rgb16_tiff(samples: np.ndarray, order: str) -> bytes:
    height, width, _ = samples.shape
    tags = {256: (width,), 257: (height,), 258: (16, 16, 16), 259: (1,), 262: (2,), 277: (3,), 278: (height,)}
    return _raw_tiff(tags, samples.astype(f"{order}u2").tobytes(), order)


def _animated_webp(width: int, height: int) -> bytes:
    """One frame of 40x33 pixels on a canvas of any size; widths and heights are stored less one, in 3 bytes."""

    def riff(name: bytes, content: bytes) -> bytes:
        return name + struct.pack("<I", len(content)) + content

    def less_one(*values: int) -> bytes:
        return b"".join((value - 1).to_bytes(3, "little") for value in values)

    frame = _encode(_picture(), "WEBP", lossless=True)[12:]
    content = riff(b"VP8X", b"\2\0\0\0" + less_one(width, height)) + riff(b"ANIM", bytes(6))
    content += riff(b"ANMF", bytes(6) + less_one(40, 33) + bytes(4) + frame)
    return riff(b"RIFF", b"WEBP" + content)


def _noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _noise_rows(row_bytes: int, height: int) -> list[bytes]:
    return [row.tobytes() for row in _noise(height, row_bytes)]


def _picture(mode: str = "RGB", width: int = 40, height: int = 33) -> Image.Image:
    """Soft colours with an edge, of different sides, so that a turned or shifted picture differs."""
    blobs = Image.fromarray(_noise(5, 6, 3)).resize((width, height), Image.Resampling.BICUBIC)
    blobs.paste((250, 20, 20), (0, 0, width // 2, 3))
    return blobs.convert(mode)


def _oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    return exif


def _frames(image_format: str, **options: object) -> bytes:
    """The picture, and four others behind it."""
    others = [Image.fromarray(_noise(33, 40, 3, seed=seed)) for seed in range(1, 5)]
    return _encode(_picture(), image_format, save_all=True, append_images=others, **options)


def _pixels(encoded: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(encoded)) as image:
        image.info.pop("transparency", None)  # which Pillow would warn about, and drop
        return np.asarray(image.convert("RGB"))


def _rejection(data: bytes, limits: ImageLimits = TINY) -> RejectedImageError:
    with pytest.raises(RejectedImageError) as caught:
        canonical_image(data, limits)
    return caught.value


KEPT: dict[str, bytes] = {
    "RGB JPEG": _encode(_picture(), "JPEG"),
    "progressive JPEG": _encode(_picture(), "JPEG", progressive=True),
    "JPEG without chroma subsampling": _encode(_picture(), "JPEG", subsampling=0, quality=95),
    "JPEG stored as RGB": _encode(_picture(), "JPEG", keep_rgb=True),
    "grayscale JPEG": _encode(_picture("L"), "JPEG"),
    "JPEG with an upright EXIF orientation": _encode(_picture(), "JPEG", exif=_oriented(1)),
    "JPEG with a second picture": _encode(_picture(), "MPO", save_all=True, append_images=[_picture("L")]),
    "JPEG with bytes behind it": _encode(_picture(), "JPEG") + b"appended by some camera",
    "RGB PNG": _encode(_picture(), "PNG"),
    "PNG of one column": _encode(_picture(width=1, height=7), "PNG"),
    "grayscale PNG": _encode(_picture("L"), "PNG"),
    "2-bit grayscale PNG": _raw_png(40, 33, 2, 0, _noise_rows(10, 33)),
    "16-bit RGB PNG": _raw_png(40, 33, 16, 2, _noise_rows(40 * 6, 33)),
    "PNG with a gamma": _raw_png(40, 33, 8, 2, _noise_rows(40 * 3, 33), _chunk(b"gAMA", struct.pack(">I", 100_000))),
}
# Pillow has to decode these once to reach the metadata behind the pixels; without an orientation there they are kept.
KEPT_AFTER_A_LOOK: dict[str, bytes] = {
    "PNG with text behind the pixels": _raw_png(
        40, 33, 8, 2, _noise_rows(40 * 3, 33), late=_chunk(b"tEXt", b"Comment\0taken with some camera")
    ),
    "PNG with an upright EXIF behind the pixels": _raw_png(
        40, 33, 8, 0, _noise_rows(40, 33), late=_chunk(b"eXIf", _oriented(1).tobytes()[6:])
    ),
}

_TRANSPARENT_GREY = _chunk(b"tRNS", b"\0\1")
REWRITTEN: dict[str, bytes] = {
    "CMYK JPEG": _encode(_picture("CMYK"), "JPEG"),
    "palette PNG": _encode(_picture("P"), "PNG"),
    "palette PNG with transparent entries": _encode(_picture("P"), "PNG", transparency=b"\x00\x80"),
    "RGBA PNG": _encode(_picture("RGBA"), "PNG"),
    "grayscale PNG with alpha": _encode(_picture("LA"), "PNG"),
    "RGB PNG with a transparent colour": _encode(_picture(), "PNG", transparency=(1, 2, 3)),
    "grayscale PNG with a transparent level": _encode(_picture("L"), "PNG", transparency=7),
    "1-bit PNG": _encode(_picture("1"), "PNG"),
    "1-bit PNG with a transparent level": _raw_png(40, 33, 1, 0, _noise_rows(5, 33), _TRANSPARENT_GREY),
    "BMP": _encode(_picture(), "BMP"),
    "palette BMP": _encode(_picture("P"), "BMP"),
    "1-bit BMP": _encode(_picture("1"), "BMP"),
    "lossy WebP": _encode(_picture(), "WEBP", quality=70),
    "lossless WebP": _encode(_picture(), "WEBP", lossless=True),
    "WebP with alpha": _encode(Image.fromarray(_noise(33, 40, 4), "RGBA"), "WEBP", quality=90),
    "lossless WebP with alpha": _encode(Image.fromarray(_noise(33, 40, 4), "RGBA"), "WEBP", lossless=True, exact=True),
    "RGB TIFF": _encode(_picture(), "TIFF"),
    "LZW TIFF": _encode(_picture(), "TIFF", compression="tiff_lzw"),
    "deflated TIFF": _encode(_picture(), "TIFF", compression="tiff_adobe_deflate"),
    "packed TIFF": _encode(_picture("L"), "TIFF", compression="packbits"),
    "JPEG in TIFF": _encode(_picture(), "TIFF", compression="jpeg"),
    "fax in TIFF": _encode(_picture("1"), "TIFF", compression="group4"),
    "grayscale TIFF": _encode(_picture("L"), "TIFF"),
    "grayscale TIFF, white is zero": _grey_tiff(_noise(33, 40), t262=(0,)),
    "palette TIFF": _encode(_picture("P"), "TIFF"),
    "CMYK TIFF": _encode(_picture("CMYK"), "TIFF", compression="tiff_lzw"),
    "RGBA TIFF": _encode(Image.fromarray(_noise(33, 40, 4), "RGBA"), "TIFF"),
    "grayscale TIFF with alpha": _encode(_picture("LA"), "TIFF"),
    "big-endian TIFF": _grey_tiff(_noise(33, 40), ">"),
    "TIFF in a tile": _grey_tiff(_noise(48, 64), t256=(40,), t257=(33,), t322=(64,), t323=(48,)),
    "GIF": _encode(_picture(), "GIF"),
    "grayscale GIF": _encode(_picture("L"), "GIF", interlace=False),
    "GIF with a transparent colour": _encode(_picture("P"), "GIF", transparency=3),
}
# The first of several frames.
ANIMATED: dict[str, bytes] = {
    "animated PNG": _frames("PNG"),
    "animated PNG with a picture of its own": _frames("PNG", default_image=True),
    "animated WebP": _frames("WEBP", lossless=True),
    "TIFF of several pages": _frames("TIFF"),
    "LZW TIFF of several pages": _frames("TIFF", compression="tiff_lzw"),
    "animated GIF": _frames("GIF"),
}

# Sixteen bits are a case of their own: Pillow's own conversion to RGB would clip them to white.
_SIXTEEN_BITS = np.linspace(0, 65535, 33 * 40).astype(np.uint16).reshape(33, 40)
SIXTEEN_BIT_GREY: dict[str, bytes] = {
    "opaque": _raw_png(40, 33, 16, 0, [row.astype(">u2").tobytes() for row in _SIXTEEN_BITS]),
    "with a transparent level": _raw_png(
        40, 33, 16, 0, [row.astype(">u2").tobytes() for row in _SIXTEEN_BITS], _chunk(b"tRNS", b"\x9c\x40")
    ),
    "TIFF": _grey_tiff(_SIXTEEN_BITS),
    "deflated TIFF": _grey_tiff(_SIXTEEN_BITS, deflated=True),
    "big-endian TIFF": _grey_tiff(_SIXTEEN_BITS, ">"),
    "big-endian deflated TIFF": _grey_tiff(_SIXTEEN_BITS, ">", deflated=True),
    "TIFF turned once around": _grey_tiff(np.ascontiguousarray(_SIXTEEN_BITS[::-1, ::-1]), t274=(3,)),
}

# What `canonical_image` may say, and nothing else: the reasons are counted in reports.
REASONS = {"empty file", "not an image", "format not supported", "too small", "too large", "truncated", "unreadable"}


@pytest.mark.parametrize("data", [*KEPT.values(), *KEPT_AFTER_A_LOOK.values()], ids=[*KEPT, *KEPT_AFTER_A_LOOK])
def test_plain_jpeg_and_png_keep_their_bytes(data: bytes) -> None:
    image = canonical_image(data, TINY)
    assert image.encoded == data
    assert image.note == ""
    assert image.format == ("png" if data.startswith(b"\x89PNG") else "jpeg")
    assert (image.height, image.width) == _pixels(data).shape[:2]


@pytest.fixture
def pillow_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(image: Image.Image) -> None:
        raise AssertionError(f"Pillow was to decode {image.format}")

    for plugin in (ImageFile.ImageFile, TiffImagePlugin.TiffImageFile, WebPImagePlugin.WebPImageFile):
        monkeypatch.setattr(plugin, "load", decode)


@pytest.mark.usefixtures("pillow_decodes_nothing")
@pytest.mark.parametrize("data", KEPT.values(), ids=KEPT)
def test_what_is_kept_is_decoded_by_tensorflow_alone(data: bytes) -> None:
    assert canonical_image(data, TINY).encoded == data


@pytest.mark.parametrize("data", [*REWRITTEN.values(), *ANIMATED.values()], ids=[*REWRITTEN, *ANIMATED])
def test_what_is_rewritten_is_decoded_by_pillow_alone(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_tensorflow_decoder", None)
    assert canonical_image(data, TINY).encoded != data


@pytest.mark.parametrize("data", REWRITTEN.values(), ids=REWRITTEN)
def test_everything_else_becomes_a_png_of_the_pixels_that_pillow_shows(data: bytes) -> None:
    image = canonical_image(data, TINY)
    assert (image.format, image.note) == ("png", "")
    assert image.encoded.startswith(b"\x89PNG")
    np.testing.assert_array_equal(_pixels(image.encoded), _pixels(data))
    with Image.open(io.BytesIO(image.encoded)) as stored:
        assert (stored.mode, stored.info) == ("RGB", {}), "no transparency or profile for another reader to apply"


@pytest.mark.parametrize("data", ANIMATED.values(), ids=ANIMATED)
def test_of_several_frames_the_first_is_taken_and_that_is_noted(data: bytes) -> None:
    image = canonical_image(data, TINY)
    first = _pixels(_encode(_picture(), "GIF")) if data.startswith(b"GIF") else np.asarray(_picture())
    np.testing.assert_array_equal(_pixels(image.encoded), first)
    assert (image.format, image.note) == ("png", "first of several frames")
    with Image.open(io.BytesIO(image.encoded)) as stored:
        assert getattr(stored, "n_frames", 1) == 1


@pytest.mark.parametrize("data", SIXTEEN_BIT_GREY.values(), ids=SIXTEEN_BIT_GREY)
def test_sixteen_bit_grey_keeps_the_upper_eight_bits(data: bytes) -> None:
    image = canonical_image(data, TINY)
    expected = np.repeat((_SIXTEEN_BITS >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    np.testing.assert_array_equal(_pixels(image.encoded), expected)
    if data.startswith(b"\x89PNG"):
        np.testing.assert_array_equal(tf.io.decode_png(data, channels=3), expected)


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_colours_keep_the_upper_eight_bits(order: str) -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (33, 40, 3), dtype=np.uint16)
    image = canonical_image(_rgb16_tiff(samples, order), TINY)
    np.testing.assert_array_equal(_pixels(image.encoded), samples >> 8)


_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", _TURNS)
@pytest.mark.parametrize(
    ("image_format", "options"),
    [("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})],
)
def test_an_exif_turned_picture_is_stored_upright(
    image_format: str, options: dict[str, object], orientation: int
) -> None:
    image = canonical_image(_encode(_picture(), image_format, exif=_oriented(orientation), **options), TINY)
    assert image.format == "png"
    assert (image.width, image.height) == ((33, 40) if orientation >= 5 else (40, 33))
    lying = _pixels(_encode(_picture(), image_format, **options))
    np.testing.assert_array_equal(_pixels(image.encoded), _TURNS[orientation](lying))
    assert image.luma.shape == (image.height, image.width)


_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize(
    "late",
    [
        _chunk(b"eXIf", _oriented(6).tobytes()[6:]),
        _chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _XMP),
        _chunk(b"tEXt", b"Comment\0IDAT eXIf") + _chunk(b"eXIf", _oriented(6).tobytes()[6:]),
    ],
    ids=["EXIF", "XMP", "EXIF behind a text"],
)
def test_an_orientation_behind_the_pixels_of_a_png_turns_them_too(late: bytes) -> None:
    rows = _noise_rows(40 * 3, 33)
    image = canonical_image(_raw_png(40, 33, 8, 2, rows, late=late), TINY)
    lying = np.frombuffer(b"".join(rows), np.uint8).reshape(33, 40, 3)
    np.testing.assert_array_equal(_pixels(image.encoded), _TURNS[6](lying))


def test_an_orientation_in_xmp_turns_a_jpeg() -> None:
    image = canonical_image(_encode(_picture(), "JPEG", xmp=_XMP), TINY)
    np.testing.assert_array_equal(_pixels(image.encoded), _TURNS[6](_pixels(KEPT["RGB JPEG"])))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    data = _encode(_picture(), "JPEG", exif=_oriented(orientation))
    assert canonical_image(data, TINY).encoded == data


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"nonsense"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_does_not_cost_the_picture(image_format: str, exif: bytes) -> None:
    data = _encode(_picture(), image_format, exif=exif)
    image = canonical_image(data, TINY)
    assert (image.encoded == data) == (image_format in ("JPEG", "PNG"))
    np.testing.assert_array_equal(_pixels(image.encoded), _pixels(data))


def test_broken_exif_behind_the_pixels_of_a_png_does_not_cost_the_picture() -> None:
    data = _raw_png(40, 33, 8, 2, _noise_rows(40 * 3, 33), late=_chunk(b"eXIf", b"nonsense"))
    assert canonical_image(data, TINY).encoded == data


@pytest.mark.parametrize(
    ("data", "limits", "reason", "detail"),
    [
        (b"", TINY, "empty file", "0 bytes"),
        (b"not a picture", TINY, "not an image", "not a pictur"),
        (b"\xff\xd8\xff", TINY, "not an image", "xff"),
        (_encode(_picture(), "PPM"), TINY, "format not supported", "PPM, allowed are JPEG, PNG, BMP, WEBP, TIFF, GIF"),
        (_encode(_picture(), "TGA"), TINY, "format not supported", "TGA"),
        (_encode(_picture("F"), "TIFF"), TINY, "format not supported", "which of them is white"),
        (_encode(_picture("I"), "TIFF"), TINY, "format not supported", "which of them is white"),
        (_grey_tiff(_SIXTEEN_BITS, t339=(2,)), TINY, "format not supported", "which of them is white"),
        (_grey_tiff(_SIXTEEN_BITS, t258=(12,)), TINY, "format not supported", "TIFF of (12,) bits"),
        (_grey_tiff(_SIXTEEN_BITS, t262=(0,)), TINY, "format not supported", "TIFF of (16,) bits, photometric 0"),
        (KEPT["RGB JPEG"][:-100], TINY, "truncated", "truncated"),
        (KEPT["RGB PNG"][:-100], TINY, "truncated", "truncated"),
        (REWRITTEN["BMP"][:-100], TINY, "truncated", "truncated"),
        (REWRITTEN["GIF"][:-100], TINY, "truncated", "truncated"),
        (REWRITTEN["big-endian TIFF"][:-100], TINY, "truncated", "truncated"),
        (_grey_tiff(_SIXTEEN_BITS, deflated=True)[:-100], TINY, "truncated", "decoder error"),
        (KEPT["RGB JPEG"][:200], TINY, "unreadable", ""),
        (KEPT["RGB PNG"], ImageLimits(min_side=34), "too small", "40x33 pixels, each side needs 34"),
        (KEPT["RGB PNG"], ImageLimits(max_pixels=40 * 33 - 1), "too large", "40x33 pixels, allowed are 1319 in all"),
        (KEPT["RGB PNG"], ImageLimits(max_bytes=100), "too large", "bytes, allowed are 100"),
    ],
)
def test_what_cannot_be_used_is_refused_with_reason_and_detail(
    data: bytes, limits: ImageLimits, reason: str, detail: str
) -> None:
    rejection = _rejection(data, limits)
    assert rejection.reason == reason
    assert detail in rejection.detail
    assert str(rejection) == f"{rejection.reason}: {rejection.detail}"


def test_a_picture_exactly_at_every_limit_is_accepted() -> None:
    data = KEPT["RGB PNG"]
    limits = ImageLimits(min_side=33, max_pixels=40 * 33, max_bytes=len(data))
    assert canonical_image(data, limits).encoded == data


_BOMBS: dict[str, bytes] = {
    "PNG above the limit": _raw_png(7072, 7071, 8, 2, []),
    "PNG above Pillow's limit": _raw_png(20_000, 20_000, 8, 2, []),
    "PNG as large as a header can say": _raw_png(2**31 - 1, 2**31 - 1, 8, 2, []),
    "PNG longer than TensorFlow reads": _raw_png(1_000_001, 32, 8, 2, []),
    "TIFF above the limit": _grey_tiff(_noise(33, 40), t256=(7072,), t257=(7071,)),
    "TIFF above Pillow's limit": _grey_tiff(_noise(33, 40), deflated=True, t256=(100_000,), t257=(100_000,)),
    "TIFF as large as a header can say": _grey_tiff(_noise(33, 40), t256=(2**32 - 1,), t257=(2**32 - 1,)),
    "small TIFF in one huge tile": _grey_tiff(_noise(33, 40), deflated=True, t322=(7072,), t323=(7071,)),
    "WebP above the limit": _animated_webp(7072, 7071),
    "WebP above Pillow's limit": _animated_webp(16_384, 16_384),
    "WebP as large as a header can say": _animated_webp(2**24, 2**8 - 1),
    "GIF above the limit": b"GIF89a" + struct.pack("<HH", 7072, 7071) + REWRITTEN["GIF"][10:],
    "GIF above Pillow's limit": b"GIF89a" + struct.pack("<HH", 65535, 65535) + REWRITTEN["GIF"][10:],
}


@pytest.mark.usefixtures("pillow_decodes_nothing")
@pytest.mark.parametrize("bomb", _BOMBS.values(), ids=_BOMBS)
def test_a_decompression_bomb_is_refused_by_its_header_alone(bomb: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_tensorflow_decoder", None)
    assert _rejection(bomb, ImageLimits()).reason == "too large"


def test_the_pictures_made_large_are_fine_at_their_own_size() -> None:
    # What the bombs above are made of, so that it is the size that is refused there.
    for data in (_grey_tiff(_noise(33, 40), deflated=True), _animated_webp(40, 33), REWRITTEN["GIF"]):
        image = canonical_image(data, ImageLimits())
        assert (image.width, image.height) == (40, 33)


def test_a_tile_whose_size_is_no_number_is_refused() -> None:
    tiff = _grey_tiff(_noise(48, 64), deflated=True, t322=(64,), t323=(48,))
    assert canonical_image(tiff, TINY).format == "png"
    number, text = struct.pack("<HH", 322, 4), struct.pack("<HH", 322, 2)
    assert tiff.count(number) == 1
    rejection = _rejection(tiff.replace(number, text))
    assert rejection.reason == "unreadable"
    assert rejection.detail == "tiles of '@' x 48"


def _accepted(data: bytes) -> CanonicalImage | None:
    """The image, or None after a proper refusal; any other exception fails the test."""
    try:
        return canonical_image(data, TINY)
    except RejectedImageError as rejection:
        assert rejection.reason in REASONS
        return None


SOURCES = {**KEPT, **KEPT_AFTER_A_LOOK, **REWRITTEN, **ANIMATED}
SOURCES |= {"16-bit PNG": SIXTEEN_BIT_GREY["opaque"], "16-bit TIFF": SIXTEEN_BIT_GREY["deflated TIFF"]}
SOURCES["turned JPEG"] = _encode(_picture(), "JPEG", exif=_oriented(6))
SOURCES["turned PNG"] = _encode(_picture(), "PNG", exif=_oriented(6))


_CUT = ["RGB JPEG", "grayscale JPEG", "turned JPEG", "RGB PNG", "palette PNG", "BMP"]
_CUT += ["lossy WebP", "lossless WebP", "RGB TIFF", "LZW TIFF", "big-endian TIFF", "16-bit TIFF", "GIF", *ANIMATED]


@pytest.mark.parametrize("name", _CUT)
def test_a_file_cut_anywhere_is_refused_or_stored_whole(name: str) -> None:
    data = SOURCES[name]
    whole = canonical_image(data, TINY)
    refused = 0
    for end in range(0, len(data), 1 + len(data) // 200 if name in ANIMATED else 1):
        image = _accepted(data[:end])
        if image is None:
            refused += 1
            continue
        # Only the very end may be missed, or other frames, and then the whole picture must be there for TensorFlow too.
        assert name in ANIMATED or end > len(data) - 24
        np.testing.assert_array_equal(image.luma, whole.luma)
        _assert_tensorflow_agrees(image)
    assert refused > 0


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_decodable_by_tensorflow(data: st.DataObject) -> None:
    damaged = bytearray(SOURCES[data.draw(st.sampled_from(sorted(SOURCES)))])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    image = _accepted(bytes(damaged))
    if image is not None:
        # What the trainer gets must never stop it; damaged colours differ by more than rounding.
        decoded = decode_image(tf.constant(image.encoded), 32).numpy()
        assert np.isfinite(decoded).all()
        assert tf.io.decode_image(image.encoded, expand_animations=False).shape[:2] == (image.height, image.width)


_MAGIC = [b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\0\x10JFIF\0", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF87a", b"GIF89a"]
_MAGIC += [b"II*\0", b"II*\0\x08\0\0\0", b"MM\0*", b"MM\0*\0\0\0\x08", b"II+\0", b"MM\0+"]
_MAGIC += [b"RIFF\x90\1\0\0WEBP" + kind for kind in (b"", b"VP8 ", b"VP8L", b"VP8X\x0a\0\0\0")]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(_MAGIC),
    st.binary(max_size=400),
)
def test_random_bytes_are_refused_and_nothing_worse(magic: bytes, content: bytes) -> None:
    assert _accepted(magic + content) is None


def _assert_tensorflow_agrees(image: CanonicalImage) -> None:
    # `decode_jpeg` reads PNG as well; its default inverse transform would be the fast one, which rounds differently.
    decoded = tf.io.decode_jpeg(image.encoded, channels=3, dct_method="INTEGER_ACCURATE").numpy()
    assert decoded.shape == (image.height, image.width, 3)
    np.testing.assert_array_equal(decoded, _pixels(image.encoded))
    if image.format == "png":  # which the trainer hands to `decode_image`
        shown = tf.io.decode_image(image.encoded, channels=3, expand_animations=False).numpy()
        np.testing.assert_array_equal(shown, decoded)


@pytest.mark.parametrize("data", SOURCES.values(), ids=SOURCES)
def test_tensorflow_and_pillow_see_the_same_stored_picture(data: bytes) -> None:
    _assert_tensorflow_agrees(canonical_image(data, TINY))


_ENCODERS: dict[str, tuple[str, dict[str, object]]] = {
    "JPEG": ("JPEG", {"quality": 90}),
    "fine JPEG": ("JPEG", {"quality": 100, "subsampling": 0}),
    "progressive JPEG": ("JPEG", {"quality": 60, "progressive": True}),
    "PNG": ("PNG", {}),
    "BMP": ("BMP", {}),
    "WebP": ("WEBP", {"quality": 80}),
    "lossless WebP": ("WEBP", {"lossless": True}),
    "TIFF": ("TIFF", {}),
    "LZW TIFF": ("TIFF", {"compression": "tiff_lzw"}),
    "GIF": ("GIF", {}),
}
_MODES = {
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "L", "P", "RGBA", "LA", "1"),
    "BMP": ("RGB", "L", "P", "1"),
    "WEBP": ("RGB", "L", "RGBA"),
    "TIFF": ("RGB", "L", "P", "RGBA", "LA", "1", "CMYK"),
    "GIF": ("RGB", "L", "P", "1"),
}


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_trainer_decodes_the_pixels_that_pillow_shows(data: st.DataObject) -> None:
    side = data.draw(st.integers(32, 48), label="side")
    coarse = data.draw(st.integers(2, 12), label="detail")
    blobs = Image.fromarray(_noise(coarse, coarse, 3, seed=data.draw(st.integers(0, 2**32), label="seed")))
    image_format, options = _ENCODERS[data.draw(st.sampled_from(sorted(_ENCODERS)))]
    mode = data.draw(st.sampled_from(_MODES[image_format]), label="mode")
    picture = blobs.resize((side, side), Image.Resampling.BICUBIC).convert(mode)
    found = _encode(picture, image_format, **options)
    decoded = decode_image(tf.constant(canonical_image(found, TINY).encoded), side).numpy()
    np.testing.assert_array_equal(decoded, _pixels(found))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_identical_pictures_have_one_luma_in_any_format(mode: str) -> None:
    picture = _picture(mode)
    files = [_encode(picture, name) for name in ("PNG", "BMP", "TIFF")]
    if mode != "RGB":  # of which GIF keeps 256 colours
        files.append(_encode(picture, "GIF"))
    files.append(_encode(picture.convert("RGB"), "WEBP", lossless=True))
    files.append(_encode(picture.convert("RGB"), "PNG", compress_level=0))
    for file in files:
        np.testing.assert_array_equal(canonical_image(file, TINY).luma, np.asarray(picture.convert("RGB").convert("L")))


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
    image = canonical_image(_encode(halves, image_format), TINY)
    assert image.brightness == pytest.approx(brightness)
    assert image.contrast == pytest.approx(contrast)


@pytest.mark.parametrize("data", SOURCES.values(), ids=SOURCES)
def test_the_luma_is_that_of_the_stored_picture(data: bytes) -> None:
    image = canonical_image(data, TINY)
    assert (image.luma.dtype, image.luma.shape) == (np.uint8, (image.height, image.width))
    np.testing.assert_array_equal(image.luma, Image.fromarray(_pixels(image.encoded)).convert("L"))


@pytest.mark.parametrize("data", SOURCES.values(), ids=SOURCES)
def test_the_size_of_the_file_is_the_one_found(data: bytes) -> None:
    assert canonical_image(data, TINY).file_bytes == len(data)


def test_the_measurements_are_those_of_the_picture_that_is_stored() -> None:
    turned = canonical_image(_encode(_picture(), "PNG", exif=_oriented(6)), TINY)
    again = canonical_image(turned.encoded, TINY)
    assert dataclasses.replace(again, file_bytes=turned.file_bytes) == turned
    quality = measure(turned.luma)
    for name, value in dataclasses.asdict(quality).items():
        assert getattr(turned, name) == value


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
    grains = Image.fromarray(_noise(-(-40 // grain), -(-40 // grain), seed=seed))
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
    assert measure(_noise(height, width)).sharpness == 0
