"""Decoding: every format, the same tensor for training and serving, and no crack lost on the way to a small input."""

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crackgate.contracts import stored_example
from crackgate.model.decoding import decode_image
from trainer.input_pipeline import read_images, read_labels

FORMATS = [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "L"), ("BMP", "RGB")]
LOSSLESS = [(name, mode) for name, mode in FORMATS if name != "JPEG"]


def _noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _encode(pixels: np.ndarray, image_format: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, image_format)
    return buffer.getvalue()


def _decode(encoded: bytes, image_size: int) -> np.ndarray:
    return decode_image(tf.constant(encoded), image_size).numpy()


@pytest.fixture(scope="module")
def photographs() -> list[bytes]:
    """Encoded images of different formats and shapes."""
    shapes = [(40, 40), (57, 33), (20, 90), (128, 96), (32, 32), (227, 227), (31, 64)]
    kinds = [*FORMATS, ("JPEG", "RGB"), ("PNG", "RGB")]
    return [_encode(_noise(*shape, seed), *kind) for seed, (shape, kind) in enumerate(zip(shapes, kinds, strict=True))]


@pytest.fixture(scope="module")
def stored(photographs: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs as ingest stores them, in two files; the labels count from 0."""
    folder = tmp_path_factory.mktemp("stored")
    for number, numbered in enumerate((list(enumerate(photographs))[:4], list(enumerate(photographs))[4:])):
        with tf.io.TFRecordWriter(str(folder / f"data-{number}.gz"), "GZIP") as writer:
            for label, encoded in numbered:
                feature = {
                    stored_example.ENCODED: tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
                    stored_example.CLASS_LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return folder


@pytest.mark.parametrize(("image_format", "mode"), FORMATS)
@pytest.mark.parametrize(("height", "width"), [(40, 40), (24, 60), (61, 35), (8, 8)])
def test_any_format_and_shape_becomes_a_square_rgb_tensor(
    image_format: str, mode: str, height: int, width: int
) -> None:
    image = _decode(_encode(_noise(height, width), image_format, mode), 32)
    assert (image.shape, image.dtype) == ((32, 32, 3), np.float32)
    assert image.min() >= 0
    assert image.max() <= 255
    # Not scaled to 0..1, nor to -1..1: the backbone does that.
    assert image.max() > 100


@pytest.mark.parametrize(("image_format", "mode"), LOSSLESS)
def test_pixels_of_the_right_size_stay_as_they_are(image_format: str, mode: str) -> None:
    pixels = _noise(32, 32)
    expected = np.asarray(Image.fromarray(pixels).convert(mode).convert("RGB"))
    np.testing.assert_array_equal(_decode(_encode(pixels, image_format, mode), 32), expected)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_decodes_to_the_pixels_that_pillow_shows(mode: str, subsampling: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(_noise(64, 64)).convert(mode).save(buffer, "JPEG", quality=85, subsampling=subsampling)
    with Image.open(buffer) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(_decode(buffer.getvalue(), 64), expected)


@pytest.mark.parametrize(("image_format", "mode"), FORMATS)
def test_grey_pictures_have_three_equal_channels(image_format: str, mode: str) -> None:
    grey = np.repeat(_noise(40, 40)[..., :1], 3, axis=2)
    image = _decode(_encode(grey, image_format, mode), 32)
    # Colour JPEG rounds on the way through YCbCr.
    np.testing.assert_allclose(image[..., 1:], image[..., :1].repeat(2, axis=2), atol=1.5)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP"])
def test_red_green_and_blue_come_in_this_order(image_format: str) -> None:
    image = _decode(_encode(np.full((40, 40, 3), (200, 120, 40), np.uint8), image_format), 32)
    np.testing.assert_allclose(image.mean(axis=(0, 1)), (200, 120, 40), atol=2)


def test_the_whole_of_an_oblong_picture_is_kept() -> None:
    pixels = np.zeros((30, 96, 3), np.uint8)
    pixels[:, 48:] = 255
    image = _decode(_encode(pixels, "PNG"), 32)
    np.testing.assert_allclose(image[:, :14], 0, atol=1e-3)
    np.testing.assert_allclose(image[:, 18:], 255, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 255), st.integers(8, 150), st.integers(8, 150))
def test_an_even_picture_stays_even(level: int, height: int, width: int) -> None:
    image = _decode(_encode(np.full((height, width, 3), level, np.uint8), "PNG"), 64)
    np.testing.assert_allclose(image, level, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 226), st.booleans())
def test_a_crack_one_pixel_wide_survives_the_way_to_a_small_input(position: int, lying: bool) -> None:
    pixels = np.full((227, 227, 3), 200, np.uint8)
    pixels[:, position] = 30
    image = _decode(_encode(pixels.swapaxes(0, 1) if lying else pixels, "PNG"), 64)
    # The line's 170 grey levels spread over 227/64 = 3.5 pixels and at most two of the new ones; plain sampling would
    # miss two lines of three altogether.
    darkest_along_the_line = image.min(axis=0 if lying else 1)
    assert darkest_along_the_line.max() < 200 - 20


def test_training_sees_bit_for_bit_what_serving_sees(photographs: list[bytes], stored: Path) -> None:
    trained = np.concatenate([images.numpy() for images, _ in read_images([str(stored / "*.gz")], 48, batch_size=3)])
    served = np.stack([_decode(encoded, 48) for encoded in photographs])
    np.testing.assert_array_equal(trained, served)


def test_examples_come_in_stored_order_with_a_smaller_last_batch(stored: Path) -> None:
    batches = list(read_images([str(stored / "data-1*"), str(stored / "data-0*")], 32, batch_size=3))
    assert [len(images) for images, _ in batches] == [3, 3, 1]
    assert [label for _, labels in batches for label in labels.numpy()] == list(range(7))
    assert {labels.dtype for _, labels in batches} == {tf.int64}


def test_labels_can_be_read_alone(stored: Path) -> None:
    labels = read_labels([str(stored / "data-1*"), str(stored / "data-0*")])
    np.testing.assert_array_equal(labels, np.arange(7))
    assert labels.dtype == np.int64


def test_chosen_examples_are_read_and_no_others(stored: Path) -> None:
    every = np.concatenate([images.numpy() for images, _ in read_images([str(stored / "*.gz")], 32, batch_size=3)])
    chosen = np.array([True, False, False, True, True, True, False])
    batches = list(read_images([str(stored / "*.gz")], 32, 3, chosen))
    np.testing.assert_array_equal(np.concatenate([images.numpy() for images, _ in batches]), every[chosen])
    assert [label for _, labels in batches for label in labels.numpy()] == [0, 3, 4, 5]


def test_bytes_that_are_no_image_are_refused() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
        _decode(b"not an image", 32)
