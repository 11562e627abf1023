"""The chunks of a PNG before its pixels: significant bits, and colours that no decoder here applies."""

import pytest

from crackgate.contracts.image_limits import ImageLimits
from crackgate.images.image_file import canonical_image
from crackgate.images.png_chunks import has_other_colours, significant_bits
from tests.helpers.image_files import noise_rows, png_chunk, raw_png


def _png(*chunks: tuple[bytes, bytes], late: bytes = b"") -> bytes:
    return raw_png(40, 33, 8, 2, noise_rows(40 * 3, 33), b"".join(png_chunk(*chunk) for chunk in chunks), late)


def _gamma(value: int) -> tuple[bytes, bytes]:
    return b"gAMA", value.to_bytes(4, "big")


@pytest.mark.parametrize(
    ("chunks", "others"),
    [
        ([], False),
        ([_gamma(45455)], False),
        ([_gamma(50_994)], False),
        ([_gamma(100_000)], True),
        ([_gamma(55_556)], True),
        ([_gamma(100_000), (b"sRGB", b"\0")], False),
        ([(b"cICP", bytes([1, 13, 0, 1]))], False),
        ([(b"cICP", bytes([9, 16, 0, 1]))], True),
        ([(b"cICP", bytes([12, 13, 0, 1]))], True),
        ([(b"cICP", bytes([9, 16, 0, 1])), (b"sRGB", b"\0")], True),
        ([(b"cICP", b"")], False),
        ([(b"cICP", bytes([2, 2, 0, 1]))], False),
        ([(b"cICP", bytes([2, 13, 0, 1]))], False),
        ([(b"cICP", bytes([2, 16, 0, 1]))], True),
        ([(b"cICP", bytes([9, 2, 0, 1]))], True),
        ([(b"cICP", bytes([2, 2, 0, 1])), _gamma(100_000)], True),
    ],
    ids=[
        "none",
        "sRGB's",
        "ffmpeg's",
        "linear",
        "Mac",
        "linear and sRGB",
        "cICP of sRGB",
        "PQ",
        "P3",
        "PQ and sRGB",
        "empty",
        "unspecified",
        "unspecified primaries",
        "unspecified primaries and PQ",
        "unspecified transfer and BT.2020",
        "unspecified and linear",
    ],
)
def test_colours_that_are_not_applied_are_a_warning(chunks: list[tuple[bytes, bytes]], others: bool) -> None:
    data = _png(*chunks)
    assert has_other_colours(data) is others
    image = canonical_image(data, ImageLimits())
    assert image.warning == ("declared gamma or colour space not applied" if others else "")
    assert image.encoded == data, "the pixels stay as they are"


def test_significant_bits_stand_before_the_pixels() -> None:
    assert significant_bits(_png((b"sBIT", bytes([5, 5, 5])))) == 5
    assert significant_bits(_png((b"sBIT", b"\x63\x63\x63"))) == 0
    assert significant_bits(_png((b"sBIT", b""))) == significant_bits(_png(late=png_chunk(b"sBIT", b"\5"))) == 0
    # The name within a text is no chunk.
    assert significant_bits(_png((b"tEXt", b"Comment\0sBIT\x05"))) == 0


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", _png()[:40], _png()[:12] + b"\xff" * 30]
)
def test_what_is_no_whole_png_says_nothing(data: bytes) -> None:
    assert significant_bits(data) == 0 and not has_other_colours(data)
