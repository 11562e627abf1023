"""Image files that are read: of a known format, within the limits of size, with samples that Pillow reads right."""

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.scale import TrainedScale
from crackgate.images import exif, heic
from crackgate.images.bounded_file import BoundedFile
from crackgate.images.decoding_room import room_for
from crackgate.images.file_kinds import unopened
from crackgate.images.jpeg_header import read_header
from crackgate.images.jpeg_scan import check_scan, check_scan_count
from crackgate.images.pillow_warnings import quiet
from crackgate.images.rejection import RejectedImageError, scale_refusal, too_many_bytes
from crackgate.images.tiff_directories import (
    check_first_counts,
    check_first_page,
    check_jpeg_frames,
    check_planes,
    is_tiff,
)

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "AVIF", *(("HEIF",) if heic.IS_READ else ()))
# Phones write MPO, a JPEG with a second picture (a depth map, a preview) behind the first.
JPEG_FORMATS = ("JPEG", "MPO")
# TensorFlow's libpng reads no longer rows.
_LONGEST_SIDE = 1_000_000
# Further EXIF orientations exchange width and height.
_LAST_UPRIGHT = 4


def accept(data: bytes, limits: ImageLimits, scale: TrainedScale | None = None) -> Image.Image:
    """Pillow's image of a file, of which nothing but a JPEG's scan was decoded; the caller silences Pillow.

    Raises RejectedImageError for what is no image, of no format that is read, out of the limits or, where `scale` is
    given, out of the scale, and for a truncated JPEG.
    """
    if not data:
        raise RejectedImageError("empty file", "0 bytes")
    if len(data) > limits.max_bytes:
        raise too_many_bytes(len(data), limits.max_bytes)
    if is_tiff(data):
        check_first_page(data)
    image = open_image(data, limits)
    _check_format(image)
    _check_size(image, limits)
    if scale is not None and not scale.takes(*image.size):
        # As a viewer turns it, which is a TIFF's size from the start; a turned image has the same scale.
        turns = image.format != "TIFF" and exif.orientation(image) > _LAST_UPRIGHT
        raise scale_refusal(scale, *(image.size[::-1] if turns else image.size))
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        check_jpeg_frames(image, data)
    if image.format in JPEG_FORMATS:
        check_scan_count(data, image.width * image.height)
        with room_for(image):
            check_scan(data)
    return image


def open_image(data: bytes, limits: ImageLimits) -> Image.Image:
    """Pillow's image by its header alone; raises RejectedImageError where there is none."""
    if is_tiff(data):
        check_first_counts(data)
    try:
        return Image.open(BoundedFile(data))
    except RejectedImageError:
        raise
    except UnidentifiedImageError:
        raise unopened(data, "the header cannot be read") from None
    except Image.DecompressionBombError as error:
        raise RejectedImageError("too large", f"{error} Allowed are {limits.max_pixels} pixels") from None
    except Exception as error:
        if is_bomb(error):
            raise RejectedImageError("too large", str(error)) from None
        raise unopened(data, f"{type(error).__name__}: {error}") from None


def size_in_header(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """Width and height of an image file as they are stored; raises RejectedImageError where no header can be read."""
    header = read_header(data)
    if header is not None:
        return header.width, header.height
    with quiet:
        return open_image(data, limits).size


def is_bomb(error: Exception) -> bool:
    """Whether Pillow rejects text or a colour profile that unpacks to megabytes."""
    return isinstance(error, ValueError) and "too large" in str(error)


def _check_format(image: Image.Image) -> None:
    if image.format not in (*_FORMATS, *JPEG_FORMATS):
        raise RejectedImageError(
            "format not supported", f"{image.format}, allowed are {', '.join(_FORMATS)}: convert it to one of them"
        )
    if image.mode in ("I", "F"):
        raise RejectedImageError(
            "format not supported", "signed, 32-bit or real samples: which of them is white? Convert it to 8 bits"
        )
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    check_planes(image)
    if image.mode.startswith("I;16"):
        # Pillow takes 12 bits for 16, which gives a nearly black picture, and does not invert.
        bits, photometric = (
            image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE),
            image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0),
        )
        if bits != (16,) or photometric != 1:
            raise RejectedImageError(
                "format not supported", f"TIFF of {bits} bits, photometric {photometric}: save it with 8 bits"
            )


def _check_size(image: Image.Image, limits: ImageLimits) -> None:
    size = f"{image.width}x{image.height} pixels"
    if min(image.size) < limits.min_side:
        raise RejectedImageError("too small", f"{size}, each side needs {limits.min_side}")
    if image.width * image.height > limits.max_pixels or max(image.size) > _LONGEST_SIDE:
        raise RejectedImageError(
            "too large", f"{size}, allowed are {limits.max_pixels} in all and {_LONGEST_SIDE} on a side"
        )
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _check_tiles(image, limits)


def _check_tiles(image: TiffImagePlugin.TiffImageFile, limits: ImageLimits) -> None:
    """Rejects a TIFF in one huge tile, which Pillow decodes whole."""
    width, length = (image.tag_v2.get(tag, 1) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
    if not isinstance(width, int) or not isinstance(length, int):
        raise RejectedImageError("unreadable", f"tiles of {width!r} x {length!r}")
    if width * length > limits.max_pixels:
        raise RejectedImageError("too large", f"tiles of {width}x{length} pixels, allowed are {limits.max_pixels}")
