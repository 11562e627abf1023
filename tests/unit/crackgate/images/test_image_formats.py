"""One image file of any format: kept as it is, or written again as PNG of the same pixels."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from crackgate.images import tensorflow_pixels
from crackgate.images.image_file import canonical_image
from crackgate.model.decoding import decode_image
from tests.helpers.image_files import (
    ANIMATED,
    KEPT,
    KEPT_AFTER_A_LOOK,
    REWRITTEN,
    SIXTEEN_BIT_GREY,
    SIXTEEN_BITS,
    SOURCES,
    TINY,
    assert_tensorflow_agrees,
    encode,
    noise,
    noise_rows,
    oriented,
    pixels_of,
    png_chunk,
    raw_png,
    rgb16_tiff,
    small_picture,
    stored_luma,
)


@pytest.mark.parametrize("data", [*KEPT.values(), *KEPT_AFTER_A_LOOK.values()], ids=[*KEPT, *KEPT_AFTER_A_LOOK])
def test_plain_jpeg_and_png_keep_their_bytes(data: bytes) -> None:
    image = canonical_image(data, TINY)
    assert image.encoded == data
    assert image.warning == ("declared gamma or colour space not applied" if b"gAMA" in data else "")
    assert image.format == ("png" if data.startswith(b"\x89PNG") else "jpeg")
    assert (image.height, image.width) == pixels_of(data).shape[:2]


@pytest.mark.usefixtures("pillow_decodes_nothing")
@pytest.mark.parametrize("data", KEPT.values(), ids=KEPT)
def test_what_is_kept_is_decoded_by_tensorflow_alone(data: bytes) -> None:
    assert canonical_image(data, TINY).encoded == data


@pytest.mark.parametrize("data", [*REWRITTEN.values(), *ANIMATED.values()], ids=[*REWRITTEN, *ANIMATED])
def test_what_is_rewritten_is_decoded_by_pillow_alone(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorflow_pixels, "_decoder", None)
    assert canonical_image(data, TINY).encoded != data


@pytest.mark.parametrize("data", REWRITTEN.values(), ids=REWRITTEN)
def test_everything_else_becomes_a_png_of_the_pixels_that_pillow_shows(data: bytes) -> None:
    image = canonical_image(data, TINY)
    assert (image.format, image.warning) == ("png", "")
    assert image.encoded.startswith(b"\x89PNG")
    np.testing.assert_array_equal(pixels_of(image.encoded), pixels_of(data))
    with Image.open(io.BytesIO(image.encoded)) as stored:
        assert (stored.mode, stored.info) == ("RGB", {}), "no transparency or profile for another reader to apply"


@pytest.mark.parametrize("data", ANIMATED.values(), ids=ANIMATED)
def test_of_several_frames_the_first_is_taken_and_that_is_noted(data: bytes) -> None:
    image = canonical_image(data, TINY)
    first = pixels_of(encode(small_picture(), "GIF")) if data.startswith(b"GIF") else np.asarray(small_picture())
    np.testing.assert_array_equal(pixels_of(image.encoded), first)
    assert (image.format, image.warning) == ("png", "first of several frames")
    with Image.open(io.BytesIO(image.encoded)) as stored:
        assert getattr(stored, "n_frames", 1) == 1


@pytest.mark.parametrize("data", SIXTEEN_BIT_GREY.values(), ids=SIXTEEN_BIT_GREY)
def test_sixteen_bit_grey_keeps_the_upper_eight_bits(data: bytes) -> None:
    image = canonical_image(data, TINY)
    expected = np.repeat((SIXTEEN_BITS >> 8).astype(np.uint8)[..., None], 3, axis=-1)
    np.testing.assert_array_equal(pixels_of(image.encoded), expected)
    if data.startswith(b"\x89PNG"):
        np.testing.assert_array_equal(tf.io.decode_png(data, channels=3), expected)


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_colours_keep_the_upper_eight_bits(order: str) -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (33, 40, 3), dtype=np.uint16)
    image = canonical_image(rgb16_tiff(samples, order), TINY)
    np.testing.assert_array_equal(pixels_of(image.encoded), samples >> 8)


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
    image = canonical_image(encode(small_picture(), image_format, exif=oriented(orientation), **options), TINY)
    assert image.format == "png"
    assert (image.width, image.height) == ((33, 40) if orientation >= 5 else (40, 33))
    lying = pixels_of(encode(small_picture(), image_format, **options))
    np.testing.assert_array_equal(pixels_of(image.encoded), _TURNS[orientation](lying))
    assert image.luma.shape == (image.height, image.width)


_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize(
    "late",
    [
        png_chunk(b"eXIf", oriented(6).tobytes()[6:]),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _XMP),
        png_chunk(b"tEXt", b"Comment\0IDAT eXIf") + png_chunk(b"eXIf", oriented(6).tobytes()[6:]),
    ],
    ids=["EXIF", "XMP", "EXIF behind a text"],
)
def test_an_orientation_behind_the_pixels_of_a_png_turns_them_too(late: bytes) -> None:
    rows = noise_rows(40 * 3, 33)
    image = canonical_image(raw_png(40, 33, 8, 2, rows, late=late), TINY)
    lying = np.frombuffer(b"".join(rows), np.uint8).reshape(33, 40, 3)
    np.testing.assert_array_equal(pixels_of(image.encoded), _TURNS[6](lying))


def test_an_orientation_in_xmp_turns_a_jpeg() -> None:
    image = canonical_image(encode(small_picture(), "JPEG", xmp=_XMP), TINY)
    np.testing.assert_array_equal(pixels_of(image.encoded), _TURNS[6](pixels_of(KEPT["RGB JPEG"])))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    data = encode(small_picture(), "JPEG", exif=oriented(orientation))
    assert canonical_image(data, TINY).encoded == data


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"nonsense"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_does_not_cost_the_picture(image_format: str, exif: bytes) -> None:
    data = encode(small_picture(), image_format, exif=exif)
    image = canonical_image(data, TINY)
    assert (image.encoded == data) == (image_format in ("JPEG", "PNG"))
    np.testing.assert_array_equal(pixels_of(image.encoded), pixels_of(data))


def test_broken_exif_behind_the_pixels_of_a_png_does_not_cost_the_picture() -> None:
    data = raw_png(40, 33, 8, 2, noise_rows(40 * 3, 33), late=png_chunk(b"eXIf", b"nonsense"))
    assert canonical_image(data, TINY).encoded == data


@pytest.mark.parametrize("data", SOURCES.values(), ids=SOURCES)
def test_tensorflow_and_pillow_see_the_same_stored_picture(data: bytes) -> None:
    assert_tensorflow_agrees(canonical_image(data, TINY))


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
    blobs = Image.fromarray(noise(coarse, coarse, 3, seed=data.draw(st.integers(0, 2**32), label="seed")))
    image_format, options = _ENCODERS[data.draw(st.sampled_from(sorted(_ENCODERS)))]
    mode = data.draw(st.sampled_from(_MODES[image_format]), label="mode")
    picture = blobs.resize((side, side), Image.Resampling.BICUBIC).convert(mode)
    found = encode(picture, image_format, **options)
    decoded = decode_image(tf.constant(canonical_image(found, TINY).encoded), side).numpy()
    np.testing.assert_array_equal(decoded, pixels_of(found))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_identical_pictures_have_one_luma_in_any_format(mode: str) -> None:
    picture = small_picture(mode)
    files = [encode(picture, name) for name in ("PNG", "BMP", "TIFF")]
    if mode != "RGB":  # of which GIF keeps 256 colours
        files.append(encode(picture, "GIF"))
    files.append(encode(picture.convert("RGB"), "WEBP", lossless=True))
    files.append(encode(picture.convert("RGB"), "PNG", compress_level=0))
    for file in files:
        np.testing.assert_array_equal(canonical_image(file, TINY).luma, np.asarray(picture.convert("RGB").convert("L")))


@pytest.mark.parametrize("data", SOURCES.values(), ids=SOURCES)
def test_the_luma_is_that_of_the_stored_picture(data: bytes) -> None:
    image = canonical_image(data, TINY)
    assert (image.luma.dtype, image.luma.shape) == (np.uint8, (image.height, image.width))
    np.testing.assert_array_equal(image.luma, stored_luma(image.encoded))
    of_colours = np.asarray(Image.fromarray(pixels_of(image.encoded)).convert("L"), int)
    assert np.abs(image.luma - of_colours).mean() < 0.05


@pytest.mark.parametrize("data", SOURCES.values(), ids=SOURCES)
def test_the_size_of_the_file_is_the_one_found(data: bytes) -> None:
    assert canonical_image(data, TINY).file_bytes == len(data)
