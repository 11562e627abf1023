"""Decoding without TensorFlow gives the very pixels of the served graph, and refuses the same files."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from crackgate.contracts.card import ReleaseCard
from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.scale import TrainedScale
from crackgate.images.image_file import canonical_bytes, canonical_image, viewer_pixels
from crackgate.images.rejection import RejectedImageError
from crackgate.model.decoding import decode_images
from crackgate.model.local_decoding import LocalDecoder
from tests.helpers.image_files import (
    ADOBE_RGB,
    DISPLAY_P3,
    PRO_PHOTO,
    SIXTEEN_BIT_GREY,
    SOURCES,
    TINY,
    encode,
    matrix_profile,
    oriented,
    small_picture,
)

SIZE = 32
_MORE = {f"JPEG turned by {value}": encode(small_picture(), "JPEG", exif=oriented(value)) for value in range(1, 9)}
_MORE |= {f"16-bit grey, {name}": data for name, data in SIXTEEN_BIT_GREY.items()}
_MORE |= {
    f"{kind} of another profile, {name}": encode(small_picture(), kind, icc_profile=matrix_profile(colours, gamma))
    for kind in ("JPEG", "PNG")
    for name, colours, gamma in (("P3", DISPLAY_P3, None), ("Adobe", ADOBE_RGB, 2.2), ("ProPhoto", PRO_PHOTO, 1.8))
}
_MORE |= {
    f"JPEG, subsampling {subsampling}, quality {quality}": encode(
        small_picture(), "JPEG", subsampling=subsampling, quality=quality
    )
    for subsampling in range(3)
    for quality in (20, 75, 100)
}
ALL = {name: data for name, data in {**SOURCES, **_MORE}.items() if name != "PNG of one column"}


@pytest.mark.parametrize("name", sorted(ALL))
def test_pixels_of_every_format_are_those_of_the_served_graph(name: str) -> None:
    stored = canonical_image(ALL[name], ImageLimits()).encoded
    expected, errors = decode_images(tf.constant([stored]), SIZE)
    assert errors.numpy() == [b""]
    pixels, problems = LocalDecoder(ReleaseCard(classes=["a", "b"], image_size=SIZE)).decode([ALL[name]])
    assert problems == [""]
    np.testing.assert_array_equal(pixels, expected)


def test_what_is_refused_fails_its_own_row() -> None:
    files = [SOURCES["RGB PNG"], b"", b"no image", SOURCES["PNG of one column"], SOURCES["RGB JPEG"]]
    pixels, errors = LocalDecoder(ReleaseCard(classes=["a", "b"], image_size=SIZE)).decode(files)
    assert [bool(error) for error in errors] == [False, True, True, True, False]
    assert errors[1] == "empty file: 0 bytes" and errors[3].startswith("too small: 1x7 pixels")
    assert not pixels[1:4].any() and pixels[0].any() and pixels[4].any()


def test_what_is_out_of_scale_is_not_decoded() -> None:
    scale = TrainedScale.of(np.array([[40, 33]]))
    card = ReleaseCard(classes=["a", "b"], image_size=SIZE, scale=scale)
    # Decoding it would say that it ends early.
    torn = encode(small_picture(width=400, height=300), "PNG")[:200]
    turned = [encode(small_picture(width=90, height=60), kind, exif=oriented(6)) for kind in ("JPEG", "TIFF")]
    files = [torn, *turned, SOURCES["RGB PNG"]]
    refusals = [scale.refusal.format(400, 300), *2 * [scale.refusal.format(60, 90)], ""]
    _, errors = LocalDecoder(card).decode(files)
    assert errors == refusals
    for file, refusal in zip(files[:3], refusals, strict=False):
        with pytest.raises(RejectedImageError) as caught:
            canonical_bytes(file, ImageLimits(), scale)
        assert str(caught.value) == refusal


# Pillow leaves pixels of a damaged fax as they happen to be in memory.
_STEADY = sorted(set(SOURCES) - {"fax in TIFF"})


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_damaged_files_have_the_pixels_or_the_refusal_that_ingest_gives_them(data: st.DataObject) -> None:
    damaged = bytearray(SOURCES[data.draw(st.sampled_from(_STEADY))])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.just(len(damaged)) | st.integers(0, len(damaged))) :]
    try:
        stored, refusal = canonical_image(bytes(damaged), TINY).encoded, ""
    except RejectedImageError as rejection:
        stored, refusal = b"", str(rejection)
    if refusal:
        with pytest.raises(RejectedImageError) as caught:
            viewer_pixels(bytes(damaged), TINY)
        assert str(caught.value) == refusal
        return
    # As the graph decodes what was stored.
    expected = tf.io.decode_jpeg(stored, channels=3, dct_method="INTEGER_ACCURATE").numpy()
    np.testing.assert_array_equal(viewer_pixels(bytes(damaged), TINY), expected)
