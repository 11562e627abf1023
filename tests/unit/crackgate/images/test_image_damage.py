"""Damaged, cut and random files: refused with a reason, or whole for TensorFlow, too, and never anything else."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crackgate.images.image_file import CanonicalImage, canonical_image
from crackgate.images.rejection import RejectedImageError
from crackgate.model.decoding import decode_image
from tests.helpers.image_files import ANIMATED, SOURCES, TINY, assert_tensorflow_agrees

# What `canonical_image` may say, and nothing else: the reasons are counted in reports.
REASONS = {"empty file", "not an image", "format not supported", "too small", "too large", "truncated", "unreadable"}


def _accepted(data: bytes) -> CanonicalImage | None:
    """The image, or None after a proper refusal; any other exception fails the test."""
    try:
        return canonical_image(data, TINY)
    except RejectedImageError as rejection:
        assert rejection.reason in REASONS
        return None


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
        assert_tensorflow_agrees(image)
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
@example(b"II+\0", b"\0" * 11 + b"\x80")  # a directory beyond what a file can hold
def test_random_bytes_are_refused_and_nothing_worse(magic: bytes, content: bytes) -> None:
    assert _accepted(magic + content) is None
