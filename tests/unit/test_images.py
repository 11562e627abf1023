"""One image file: kept as it is, written again as PNG, or refused with a reason, and never anything else."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from components.images import CanonicalImage, ImageLimits, RejectedImageError, canonical_image
from trainer.decoding import decode_image

TINY = ImageLimits(min_side=1)


def _encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=image_format, **options)
    return buffer.getvalue()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _raw_png(width: int, height: int, depth: int, color_type: int, rows: list[bytes], extra: bytes = b"") -> bytes:
    """A PNG chunk by chunk, for what Pillow does not write: `extra` chunks stand before the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + extra + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    )  # fmt: skip


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
}

# Sixteen bits are a case of their own: Pillow's own conversion to RGB would clip them to white.
_SIXTEEN_BITS = np.linspace(0, 65535, 33 * 40).astype(np.uint16).reshape(33, 40)
SIXTEEN_BIT_GREY: dict[str, bytes] = {
    "opaque": _raw_png(40, 33, 16, 0, [row.astype(">u2").tobytes() for row in _SIXTEEN_BITS]),
    "with a transparent level": _raw_png(
        40, 33, 16, 0, [row.astype(">u2").tobytes() for row in _SIXTEEN_BITS], _chunk(b"tRNS", b"\x9c\x40")
    ),
}

# What `canonical_image` may say, and nothing else: the reasons are counted in reports.
REASONS = {"empty file", "not an image", "format not supported", "too small", "too large", "truncated", "unreadable"}


@pytest.mark.parametrize("data", KEPT.values(), ids=KEPT)
def test_plain_jpeg_and_png_keep_their_bytes(data: bytes) -> None:
    image = canonical_image(data, TINY)
    assert image.encoded == data
    assert image.format == ("png" if data.startswith(b"\x89PNG") else "jpeg")
    assert (image.height, image.width) == _pixels(data).shape[:2]


@pytest.mark.parametrize("data", REWRITTEN.values(), ids=REWRITTEN)
def test_everything_else_becomes_a_png_of_the_pixels_that_pillow_shows(data: bytes) -> None:
    image = canonical_image(data, TINY)
    assert image.format == "png"
    assert image.encoded.startswith(b"\x89PNG")
    np.testing.assert_array_equal(_pixels(image.encoded), _pixels(data))
    with Image.open(io.BytesIO(image.encoded)) as stored:
        assert (stored.mode, stored.info) == ("RGB", {}), "no transparency or profile for another reader to apply"


@pytest.mark.parametrize("data", SIXTEEN_BIT_GREY.values(), ids=SIXTEEN_BIT_GREY)
def test_sixteen_bit_grey_keeps_the_upper_eight_bits(data: bytes) -> None:
    image = canonical_image(data, TINY)
    expected = np.repeat((_SIXTEEN_BITS >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    np.testing.assert_array_equal(_pixels(image.encoded), expected)
    np.testing.assert_array_equal(tf.io.decode_png(data, channels=3), expected)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_an_exif_turned_picture_is_stored_upright(image_format: str, orientation: int) -> None:
    data = _encode(_picture(), image_format, exif=_oriented(orientation))
    image = canonical_image(data, TINY)
    assert image.format == "png"
    assert (image.width, image.height) == ((33, 40) if orientation >= 5 else (40, 33))
    lying = _pixels(data)
    turns: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        2: lambda pixels: pixels[:, ::-1],
        3: lambda pixels: pixels[::-1, ::-1],
        4: lambda pixels: pixels[::-1],
        5: lambda pixels: pixels.swapaxes(0, 1),
        6: lambda pixels: np.rot90(pixels, -1),
        7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90,
    }
    np.testing.assert_array_equal(_pixels(image.encoded), turns[orientation](lying))


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"nonsense"])
def test_broken_exif_does_not_cost_the_picture(exif: bytes) -> None:
    data = _encode(_picture(), "JPEG", exif=exif)
    assert canonical_image(data, TINY).encoded == data


@pytest.mark.parametrize(
    ("data", "limits", "reason", "detail"),
    [
        (b"", TINY, "empty file", "0 bytes"),
        (b"not a picture", TINY, "not an image", "not a pictur"),
        (b"\xff\xd8\xff", TINY, "not an image", "xff"),
        (_encode(_picture(), "GIF"), TINY, "format not supported", "GIF, allowed are JPEG, PNG, BMP"),
        (_encode(_picture(), "TIFF"), TINY, "format not supported", "TIFF"),
        (_encode(_picture(), "WEBP"), TINY, "format not supported", "WEBP"),
        (KEPT["RGB JPEG"][:-100], TINY, "truncated", "truncated"),
        (KEPT["RGB PNG"][:-100], TINY, "truncated", "truncated"),
        (REWRITTEN["BMP"][:-100], TINY, "truncated", "truncated"),
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


@pytest.mark.parametrize(
    ("width", "height"),
    [(7072, 7071), (20_000, 20_000), (2**31 - 1, 2**31 - 1), (1_000_001, 32)],
    ids=["above the limit", "above Pillow's", "as large as a header can say", "longer than TensorFlow reads"],
)
def test_a_decompression_bomb_is_refused_by_its_header_alone(width: int, height: int) -> None:
    # Without a single pixel behind the header, decoding would say "truncated".
    bomb = _raw_png(width, height, 8, 2, [])
    assert _rejection(bomb, ImageLimits()).reason == "too large"


def _accepted(data: bytes) -> CanonicalImage | None:
    """The image, or None after a proper refusal; any other exception fails the test."""
    try:
        return canonical_image(data, TINY)
    except RejectedImageError as rejection:
        assert rejection.reason in REASONS
        return None


SOURCES = {**KEPT, **REWRITTEN, "16-bit PNG": SIXTEEN_BIT_GREY["opaque"], "GIF": _encode(_picture(), "GIF")}
SOURCES["turned JPEG"] = _encode(_picture(), "JPEG", exif=_oriented(6))
SOURCES["turned PNG"] = _encode(_picture(), "PNG", exif=_oriented(6))


@pytest.mark.parametrize("name", ["RGB JPEG", "grayscale JPEG", "turned JPEG", "RGB PNG", "palette PNG", "BMP"])
def test_a_file_cut_anywhere_is_refused_or_stored_whole(name: str) -> None:
    data = SOURCES[name]
    whole = canonical_image(data, TINY)
    refused = 0
    for end in range(0, len(data), 3 if name == "BMP" else 1):
        image = _accepted(data[:end])
        if image is None:
            refused += 1
            continue
        # Only the very end may be missed, and then the whole picture must be there for TensorFlow too.
        assert end > len(data) - 24
        assert image.pixels_sha256 == whole.pixels_sha256
        _assert_tensorflow_agrees(image)
    assert refused > 0


@settings(max_examples=300, deadline=None)
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


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0\0\x10JFIF\0", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a"]),
    st.binary(max_size=400),
)
def test_random_bytes_are_refused_and_nothing_worse(magic: bytes, content: bytes) -> None:
    assert _accepted(magic + content) is None


def _assert_tensorflow_agrees(image: CanonicalImage) -> None:
    # `decode_jpeg` reads PNG as well; its default inverse transform would be the fast one, which rounds differently.
    decoded = tf.io.decode_jpeg(image.encoded, channels=3, dct_method="INTEGER_ACCURATE").numpy()
    assert decoded.shape == (image.height, image.width, 3)
    np.testing.assert_array_equal(decoded, _pixels(image.encoded))


@pytest.mark.parametrize("data", SOURCES.values(), ids=SOURCES)
def test_tensorflow_and_pillow_see_the_same_stored_picture(data: bytes) -> None:
    image = _accepted(data)
    if data.startswith(b"GIF"):
        assert image is None
    else:
        assert image is not None
        _assert_tensorflow_agrees(image)


_ENCODERS: dict[str, tuple[str, dict[str, object]]] = {
    "JPEG": ("JPEG", {"quality": 90}),
    "fine JPEG": ("JPEG", {"quality": 100, "subsampling": 0}),
    "progressive JPEG": ("JPEG", {"quality": 60, "progressive": True}),
    "PNG": ("PNG", {}),
    "BMP": ("BMP", {}),
}
_MODES = {"JPEG": ("RGB", "L", "CMYK"), "PNG": ("RGB", "L", "P", "RGBA", "LA", "1"), "BMP": ("RGB", "L", "P", "1")}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_trainer_decodes_the_pixels_that_pillow_shows(data: st.DataObject) -> None:
    side = data.draw(st.integers(32, 48), label="side")
    coarse = data.draw(st.integers(2, 12), label="detail")
    blobs = Image.fromarray(_noise(coarse, coarse, 3, seed=data.draw(st.integers(0, 2**32), label="seed")))
    image_format, options = _ENCODERS[data.draw(st.sampled_from(sorted(_ENCODERS)))]
    mode = data.draw(st.sampled_from(_MODES[image_format]), label="mode")
    picture = blobs.resize((side, side), Image.Resampling.BICUBIC).convert(mode)
    image = canonical_image(_encode(picture, image_format, **options), TINY)
    decoded = decode_image(tf.constant(image.encoded), side).numpy()
    np.testing.assert_array_equal(decoded, _pixels(image.encoded))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_identical_pixels_have_one_digest_in_any_format(mode: str) -> None:
    picture = _picture(mode)
    digests = {canonical_image(_encode(picture, name), TINY).pixels_sha256 for name in ("PNG", "BMP")}
    digests.add(canonical_image(_encode(picture.convert("RGB"), "PNG", compress_level=0), TINY).pixels_sha256)
    assert len(digests) == 1


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 32), st.integers(0, 39), st.integers(0, 2), st.integers(1, 255))
def test_one_changed_sample_changes_the_digest(row: int, column: int, channel: int, change: int) -> None:
    pixels = np.array(_picture())
    before = canonical_image(_encode(Image.fromarray(pixels), "PNG"), TINY)
    pixels[row, column, channel] ^= np.uint8(change)
    after = canonical_image(_encode(Image.fromarray(pixels), "PNG"), TINY)
    assert before.pixels_sha256 != after.pixels_sha256


def test_the_same_samples_in_another_shape_are_another_picture() -> None:
    wide, tall = (Image.new("RGB", size, (9, 9, 9)) for size in ((40, 10), (10, 40)))
    digests = {canonical_image(_encode(image, "PNG"), TINY).pixels_sha256 for image in (wide, tall)}
    assert len(digests) == 2


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


def test_the_measurements_are_those_of_the_picture_that_is_stored() -> None:
    turned = canonical_image(_encode(_picture(), "PNG", exif=_oriented(6)), TINY)
    again = canonical_image(turned.encoded, TINY)
    assert again == turned
