"""One image file: accepted in a canonical form, or rejected with a reason.

RGB and grayscale JPEG and PNG files keep their bytes, and TensorFlow decodes them. Other files that Pillow reads become
lossless RGB PNG of the pixels that a viewer shows. These are WebP, TIFF, GIF, BMP, AVIF, HEIC, CMYK, palettes, alpha,
16 bits, EXIF-turned images, colours of another profile, first frames, and slightly damaged files.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, TiffImagePlugin

from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.scale import TrainedScale
from crackgate.images import exif
from crackgate.images.acceptance import JPEG_FORMATS, accept, is_bomb, open_image
from crackgate.images.colour_profile import in_srgb
from crackgate.images.decoding_room import room_for, room_for_pixels
from crackgate.images.jpeg_header import decode_grey, read_header
from crackgate.images.jpeg_scan import check_scan_count
from crackgate.images.pillow_warnings import quiet
from crackgate.images.png_chunks import has_other_colours
from crackgate.images.rejection import RejectedImageError
from crackgate.images.sixteen_bits import check_fill, declared_range, grey_levels
from crackgate.images.tiff_directories import has_further_pages, is_tiff

# From a file and its width and height to its pixels, uint8 (height, width, 3); None where it cannot.
_Decode = Callable[[bytes, tuple[int, int]], np.ndarray | None]

# Pillow's messages about a file that is damaged, but not at its end.
_DAMAGE = ("broken data stream", "unrecognized data stream")
# Offset of a PNG file's bits for each sample.
_PNG_DEPTH_AT = 24
# Pixels that are converted together.
_STRIP = 1_000_000
_SEVERAL_FRAMES = "first of several frames"
_OTHER_COLOURS = "declared gamma or colour space not applied"


@dataclass(frozen=True)
class CanonicalImage:
    """An accepted image.

    Attributes:
        encoded: JPEG or PNG bytes that decode to 8-bit RGB or grayscale.
        format: "jpeg" or "png".
        height: Pixels, after the EXIF orientation was applied, as is `width`.
        file_bytes: Size of the original file.
        file_format: Its format, such as "jpeg" or "tiff", in small letters.
        camera: See `exif.camera`.
        warning: "first of several frames", "declared gamma or colour space not applied" (of PNG, by gAMA or cICP), or
            "". A second picture behind a JPEG is no frame.
        luma: uint8 (height, width), the grey levels (ITU-R 601) of the same pixels; of a JPEG those that it stores.
    """

    encoded: bytes
    format: str
    height: int
    width: int
    file_bytes: int
    file_format: str
    camera: str
    warning: str
    luma: np.ndarray = field(repr=False, compare=False)


def canonical_image(data: bytes, limits: ImageLimits) -> CanonicalImage:
    """Checks and decodes the bytes of one image file. Several threads may do so at once.

    Raises RejectedImageError for an empty, unknown, truncated or undecodable file, or one outside the limits.
    """
    return _plain_jpeg(data, limits) or _any_image(data, limits)


def _plain_jpeg(data: bytes, limits: ImageLimits) -> CanonicalImage | None:
    """The image of a sound JPEG that is kept as it is, from its luma alone; None where Pillow has to look at it."""
    header = read_header(data)
    if header is None or len(data) > limits.max_bytes:
        return None
    pixels = header.width * header.height
    if min(header.width, header.height) < limits.min_side or pixels > limits.max_pixels:
        return None
    camera = ""
    if header.has_notes:
        with quiet:
            try:
                image = open_image(data, limits)
            except RejectedImageError:
                return None
            if not _is_plain(image) or exif.orientation(image) > 1 or image.info.get("icc_profile"):
                return None
            camera = exif.camera(image)
    check_scan_count(data, pixels)
    with room_for_pixels(pixels, "JPEG"):
        luma = decode_grey(data)
        return None if luma is None else _canonical(data, data, "jpeg", "jpeg", camera, "", luma)


def _any_image(data: bytes, limits: ImageLimits) -> CanonicalImage:
    with quiet:
        image = accept(data, limits)
        with room_for(image):
            pixels, kept_as_is = _decode(image, data)
            # Not before: what was read once is not read again, and a PNG may have its EXIF at the end.
            camera = exif.camera(image)
            warning = _warning(image, data)
            is_jpeg = image.format in JPEG_FORMATS
            luma = decode_grey(data, strict=False) if kept_as_is and is_jpeg else None
            if luma is None:
                # A copy: a view would keep Pillow's picture in memory.
                luma = np.array(Image.fromarray(pixels).convert("L"))
            encoded = data if kept_as_is else _encode_png(pixels)
            stored_format = "jpeg" if kept_as_is and is_jpeg else "png"
            file_format = "jpeg" if is_jpeg else str(image.format).lower()
            return _canonical(data, encoded, stored_format, file_format, camera, warning, luma)


def _canonical(
    data: bytes, encoded: bytes, stored_format: str, file_format: str, camera: str, warning: str, luma: np.ndarray
) -> CanonicalImage:
    height, width = luma.shape
    return CanonicalImage(
        encoded=encoded,
        format=stored_format,
        height=height,
        width=width,
        file_bytes=len(data),
        file_format=file_format,
        camera=camera,
        warning=warning,
        luma=luma,
    )


def canonical_bytes(data: bytes, limits: ImageLimits, scale: TrainedScale | None = None) -> bytes:
    """`encoded` of `canonical_image` alone; raises RejectedImageError likewise, and see `viewer_pixels`."""
    with quiet:
        image = accept(data, limits, scale)
        with room_for(image):
            pixels, kept_as_is = _decode(image, data)
    return data if kept_as_is else _encode_png(pixels)


def viewer_pixels(data: bytes, limits: ImageLimits, scale: TrainedScale | None = None) -> np.ndarray:
    """The pixels of `canonical_image` alone, uint8 (height, width, 3); raises RejectedImageError likewise.

    libjpeg and Pillow decode, without TensorFlow: their pixels are the same, and they fail for the same files. An
    image out of `scale` by its header is not decoded.
    """
    return viewer_image(data, limits, scale)[0]


def viewer_image(data: bytes, limits: ImageLimits, scale: TrainedScale | None = None) -> tuple[np.ndarray, Image.Image]:
    """`viewer_pixels` and Pillow's image, of which the metadata can be read; raises RejectedImageError likewise."""
    with quiet:
        image = accept(data, limits, scale)
        with room_for(image):
            pixels, _ = _plain_pixels(image, data, _jpeg_pixels) or (_pillow_pixels(image, data), False)
            _check_levels(pixels, image, data)
    return pixels, image


def _decode(image: Image.Image, data: bytes) -> tuple[np.ndarray, bool]:
    """The viewer's pixels, uint8 (height, width, 3), and whether TensorFlow decodes `data` to the same."""
    pixels, kept_as_is = _plain_pixels(image, data, _tensorflow_pixels) or (_pillow_pixels(image, data), False)
    _check_levels(pixels, image, data)
    return pixels, kept_as_is


def _check_levels(pixels: np.ndarray, image: Image.Image, data: bytes) -> None:
    if _has_sixteen_bit_colours(image, data):
        check_fill(pixels, int(pixels.min()) << 8, int(pixels.max()) << 8 | 255)


def _plain_pixels(image: Image.Image, data: bytes, decode: _Decode) -> tuple[np.ndarray, bool] | None:
    """Another decoder's pixels in sRGB, and whether they were so from the start; None where Pillow has to decode."""
    if not _is_plain(image):
        return None
    if _has_late_metadata(image, data):
        _load(image)
    pixels = None if exif.orientation(image) > 1 else decode(data, image.size)
    if pixels is None:
        return None
    shown = None
    if profile := image.info.get("icc_profile"):
        shown = in_srgb(Image.fromarray(pixels[..., 0] if image.mode == "L" else pixels), profile)
    return (pixels, True) if shown is None else (_rgb_pixels(shown), False)


def _tensorflow_pixels(data: bytes, size: tuple[int, int]) -> np.ndarray | None:
    # Imported where it is needed: those who only look at pictures need no TensorFlow.
    from crackgate.images.tensorflow_pixels import tensorflow_pixels

    return tensorflow_pixels(data, size)


def _jpeg_pixels(data: bytes, size: tuple[int, int]) -> np.ndarray | None:
    """The pixels of a sound JPEG, as Pillow's, in less than half the time."""
    try:
        pixels: np.ndarray = simplejpeg.decode_jpeg(data, "RGB")
    # It is no JPEG, or libjpeg warns.
    except ValueError:
        return None
    return pixels if pixels.shape == (size[1], size[0], 3) else None


def _has_sixteen_bit_colours(image: Image.Image, data: bytes) -> bool:
    """Whether Pillow and TensorFlow dropped the lower eight bits of 16."""
    if image.mode.startswith("I;16"):
        return False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return 16 in image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, ())
    return image.format == "PNG" and data[_PNG_DEPTH_AT] == 16


def _is_plain(image: Image.Image) -> bool:
    """Whether TensorFlow and Pillow decode its pixels alike, without alpha or frames."""
    if image.format == "PNG" and getattr(image, "is_animated", False):
        return False
    return image.format in (*JPEG_FORMATS, "PNG") and image.mode in ("RGB", "L") and "transparency" not in image.info


def _has_late_metadata(image: Image.Image, data: bytes) -> bool:
    """Whether chunks that may hold an orientation follow the pixels."""
    if image.format != "PNG":
        return False
    pixels = data.find(b"IDAT")
    return any(data.find(name, pixels) >= 0 for name in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"))


def _pillow_pixels(image: Image.Image, data: bytes) -> np.ndarray:
    _load(image)
    with _faults_named():
        profile = image.info.get("icc_profile")
        turned = ImageOps.exif_transpose(image) if exif.orientation(image) > 1 else image
        # Pillow would fail to convert a transparent colour that does not fit.
        turned.info.clear()
        if turned.mode.startswith("I;16"):
            # Pillow's own conversion would clip to white.
            samples = np.asarray(turned)
            turned = Image.fromarray(grey_levels(samples, declared_range(image, data, int(samples.max()))))
        elif turned.mode in ("1", "LA"):
            turned = turned.convert("L")
        # `convert` would copy a picture that has the mode.
        elif turned.mode not in ("CMYK", "L", "RGB"):
            turned = turned.convert("RGB")
        shown = in_srgb(turned, profile) if profile else None
        return _rgb_pixels(turned if shown is None else shown)


def _rgb_pixels(image: Image.Image) -> np.ndarray:
    """An image's pixels, uint8 (height, width, 3), strip by strip: Pillow gives a whole one as bytes, twice."""
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP // width)
    for first in range(0, height, rows):
        strip = image.crop((0, first, width, min(first + rows, height)))
        pixels[first : first + rows] = np.asarray(strip.convert("RGB"))
    return pixels


def _load(image: Image.Image) -> None:
    with _faults_named():
        image.load()


@contextmanager
def _faults_named() -> Iterator[None]:
    try:
        yield
    except RejectedImageError:
        raise
    except OSError as error:
        reason = "unreadable" if str(error).startswith(_DAMAGE) else "truncated"
        raise RejectedImageError(reason, str(error)) from None
    except Exception as error:
        reason = "too large" if is_bomb(error) else "unreadable"
        raise RejectedImageError(reason, f"{type(error).__name__}: {error}") from None


def _warning(image: Image.Image, data: bytes) -> str:
    if image.format in JPEG_FORMATS:
        return ""
    try:
        several = has_further_pages(data) if is_tiff(data) else getattr(image, "is_animated", False)
    except Exception:  # of any kind: the damage lies behind the frame that was read
        several = True
    if several:
        return _SEVERAL_FRAMES
    return _OTHER_COLOURS if image.format == "PNG" and has_other_colours(data) else ""


def _encode_png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
