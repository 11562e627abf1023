"""Which camera took an image, and that no metadata stops anything."""

import pytest
from PIL import ExifTags, Image

from crackgate.images.image_file import canonical_image
from tests.helpers.image_files import TINY, encode, small_picture


def _taken(maker: object, model: object) -> Image.Exif:
    exif = Image.Exif()
    for tag, value in ((ExifTags.Base.Make, maker), (ExifTags.Base.Model, model)):
        if value is not None:
            exif[tag] = value
    return exif


CAMERAS = {
    "maker and model": (("Apple", "iPhone 12"), "Apple iPhone 12"),
    "the maker in the model": (("Canon", "Canon EOS 80D"), "Canon EOS 80D"),
    "padded": (("NIKON CORPORATION\0\0", "  D750 \0"), "NIKON CORPORATION D750"),
    "model alone": ((None, "FC6310"), "FC6310"),
    "maker alone": (("DJI", None), "DJI"),
    "control characters": (("a\nb\x1b[31m", "c"), "a b [31m c"),
    "a long name": (("x" * 200, ""), "x" * 80),
    "nothing": ((None, None), ""),
}


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(("names", "expected"), CAMERAS.values(), ids=CAMERAS)
def test_the_camera_is_told_in_one_line(names: tuple[object, object], expected: str, image_format: str) -> None:
    data = encode(small_picture(), image_format, exif=_taken(*names))
    image = canonical_image(data, TINY)
    assert image.camera == expected
    assert image.file_format == image_format.lower()


def test_broken_exif_is_no_camera() -> None:
    data = encode(small_picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert canonical_image(data, TINY).camera == ""


def test_a_file_that_is_written_again_keeps_its_format_and_camera() -> None:
    turned = _taken("Apple", "iPhone 12")
    turned[ExifTags.Base.Orientation] = 6
    image = canonical_image(encode(small_picture(), "JPEG", exif=turned), TINY)
    assert (image.format, image.file_format, image.camera) == ("png", "jpeg", "Apple iPhone 12")
    grey = canonical_image(encode(small_picture("L"), "BMP"), TINY)
    assert (grey.format, grey.file_format, grey.camera) == ("png", "bmp", "")
