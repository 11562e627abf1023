"""Image files of every format and kind for the tests, made as they are needed, and what is expected of them."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import ExifTags, Image

from crackgate.contracts.image_limits import ImageLimits
from crackgate.images.image_file import CanonicalImage, canonical_image
from crackgate.images.rejection import RejectedImageError

TINY = ImageLimits(min_side=1)


def encode(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=image_format, **options)
    return buffer.getvalue()


def stored_luma(encoded: bytes) -> np.ndarray:
    """Grey levels as the file has them: Pillow decodes no colours of a JPEG."""
    with Image.open(io.BytesIO(encoded)) as image:
        image.draft("L", None)
        return np.asarray(image.convert("L"))


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def raw_png(
    width: int, height: int, depth: int, color_type: int, rows: list[bytes], extra: bytes = b"", late: bytes = b""
) -> bytes:
    """A PNG chunk by chunk, for what Pillow does not write: `extra` chunks before the pixels, `late` ones behind."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + late + png_chunk(b"IEND", b"")


def raw_tiff(tags: dict[int, tuple[int, ...]], data: bytes, order: str = "<") -> bytes:
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


def grey_tiff(samples: np.ndarray, order: str = "<", deflated: bool = False, **tags: tuple[int, ...]) -> bytes:
    """A grayscale TIFF of samples of any width; `tags` as "t262"."""
    height, width = samples.shape
    raw = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    common: dict[int, tuple[int, ...]] = {256: (width,), 257: (height,), 258: (samples.itemsize * 8,)}
    common |= {259: (8 if deflated else 1,), 262: (1,), 277: (1,), 278: (height,)}
    common |= {int(name[1:]): value for name, value in tags.items()}
    return raw_tiff(common, zlib.compress(raw) if deflated else raw, order)


def rgb16_tiff(samples: np.ndarray, order: str) -> bytes:
    height, width, _ = samples.shape
    tags = {256: (width,), 257: (height,), 258: (16, 16, 16), 259: (1,), 262: (2,), 277: (3,), 278: (height,)}
    return raw_tiff(tags, samples.astype(f"{order}u2").tobytes(), order)


def animated_webp(width: int, height: int) -> bytes:
    """One frame of 40x33 pixels on a canvas of any size; widths and heights are stored less one, in 3 bytes."""

    def riff(name: bytes, content: bytes) -> bytes:
        return name + struct.pack("<I", len(content)) + content

    def less_one(*values: int) -> bytes:
        return b"".join((value - 1).to_bytes(3, "little") for value in values)

    frame = encode(small_picture(), "WEBP", lossless=True)[12:]
    content = riff(b"VP8X", b"\2\0\0\0" + less_one(width, height)) + riff(b"ANIM", bytes(6))
    content += riff(b"ANMF", bytes(6) + less_one(40, 33) + bytes(4) + frame)
    return riff(b"RIFF", b"WEBP" + content)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def noise_rows(row_bytes: int, height: int) -> list[bytes]:
    return [row.tobytes() for row in noise(height, row_bytes)]


def small_picture(mode: str = "RGB", width: int = 40, height: int = 33) -> Image.Image:
    """Soft colours with an edge, of different sides, so that a turned or shifted picture differs."""
    blobs = Image.fromarray(noise(5, 6, 3)).resize((width, height), Image.Resampling.BICUBIC)
    blobs.paste((250, 20, 20), (0, 0, width // 2, 3))
    return blobs.convert(mode)


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    return exif


def several_frames(image_format: str, **options: object) -> bytes:
    """The picture, and four others behind it."""
    others = [Image.fromarray(noise(33, 40, 3, seed=seed)) for seed in range(1, 5)]
    return encode(small_picture(), image_format, save_all=True, append_images=others, **options)


def pixels_of(encoded: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(encoded)) as image:
        image.info.pop("transparency", None)  # which Pillow would warn about, and drop
        return np.asarray(image.convert("RGB"))


def rejection_of(data: bytes, limits: ImageLimits = TINY) -> RejectedImageError:
    with pytest.raises(RejectedImageError) as caught:
        canonical_image(data, limits)
    return caught.value


def matrix_profile(colorants: list[tuple[float, float, float]], gamma: float | None) -> bytes:
    """An ICC profile of colours as sums of three XYZ (D50), of `gamma` or with sRGB's own curve; grey without any."""
    points = np.linspace(0, 1, 1024)
    curve = np.where(points <= 0.04045, points / 12.92, ((points + 0.055) / 1.055) ** 2.4)
    curve = points**gamma if gamma else curve
    packed = struct.pack(">4s4xI1024H", b"curv", 1024, *np.round(curve * 65535).astype(int).tolist())
    xyz = [b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in c)) for c in colorants]
    described = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": described, b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC") if colorants else (b"kTRC",), packed)
    tags |= dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), xyz, strict=False))
    table, body, place = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", place + len(body), len(content))
        body += content
    space = b"RGB " if colorants else b"GRAY"
    header = struct.pack(
        ">I4sI4s4s4s12s4s", place + len(body), bytes(4), 0x02400000, b"mntr", space, b"XYZ ", bytes(12), b"acsp"
    )
    return header + bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + table + body


SRGB = [(0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)]
PRO_PHOTO = [(0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249)]
ADOBE_RGB = [(0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)]
DISPLAY_P3 = [(0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)]

# `small_picture` with its place and time in EXIF, as an encoder of HEIC wrote it: the project's decoder does not write.
HEIC = base64.b64decode(
    "AAAAGGZ0eXBoZWljAAAAAG1pZjFoZWljAAABvm1ldGEAAAAAAAAAIWhkbHIAAAAAAAAAAHBpY3QAAAAAAAAAAAAAAAAAAAAANGlsb2MAAAAAREAA"
    "AgABAAAAAAHeAAEAAAAAAAABLgACAAAAAAMMAAEAAAAAAAAA0AAAADhpaW5mAAAAAAACAAAAFWluZmUCAAAAAAEAAGh2YzEAAAAAFWluZmUCAAAB"
    "AAIAAEV4aWYAAAAADnBpdG0AAAAAAAEAAAD9aXBycAAAAN1pcGNvAAAAdmh2Y0MBA3AAAACQAAAAAAAe8AD8/fj4AAAPA2AAAQAYQAEMAf//A3AA"
    "AAMAkAAAAwAAAwAeugJAYQABACpCAQEDcAAAAwCQAAADAAADAB6gIIEFlurkprm4CGgwIAAAAwMgAAADACFiAAEABkQBwXPAiQAAABNjb2xybmNs"
    "eAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAKAAAAAEAAAAhAAAAAf///+gAAAAC////4QAAAAIAAAAQcGl4aQAAAAADCAgI"
    "AAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAGmlyZWYAAAAAAAAADmNkc2MAAgABAAEAAAIGbWRhdAAAASooAa8TgI0JuMHoBuZbMoQ2eEaG3g+B"
    "p7fCSw9UYwJVkTn3XJxi9H3gbc6r4U+VF+BiUAatVNuMlfa0tXMNXX9a+nP3dZ6sXwy8zOvh3p5PvCqUHQZsAq0VWBs87ycsxC4M6r1l8Q25Yg4P"
    "pOe5Nl6UNYPOhcvHNDo0paUTfUtL4ZbQBPToarrqJAbJ9ceu+C9ktcTHbvPy6O9ZICusJKqH2kH0UvMzqriwmZSC15kOc7CKL/CGh05PLfDo5fFg"
    "ePln1spErdvu+1lX66Xk8pan9lCRe97aKwxUOY0eBtXMxVX+Kq5o7vWVztpm3SbFLZfvkKd/J/XM7wdA1C+IaMgcYmT1T6LfV0AemjMnJS9kqkKm"
    "ZeVb8MsPnnwdma2BwIJs2BeB2sAZYW3wAAAABkV4aWYAAE1NACoAAAAIAAKHaQAEAAAAAQAAACaIJQAEAAAAAQAAAGAAAAAAAAKQAwACAAAAFAAA"
    "AESQEQACAAAABwAAAFgAAAAAMjAyNjowNTowMSAxMDoxMToxMgArMDI6MDAAAAAEAAEAAgAAAAJOAAAAAAIABQAAAAMAAACWAAMAAgAAAAJFAAAA"
    "AAQABQAAAAMAAACuAAAAAAAAAC8AAAABAAAAFgAAAAEAAAAeAAAAAQAAAAgAAAABAAAAIAAAAAEAAAAYAAAAAQ=="
)

KEPT: dict[str, bytes] = {
    "RGB JPEG": encode(small_picture(), "JPEG"),
    "progressive JPEG": encode(small_picture(), "JPEG", progressive=True),
    "JPEG without chroma subsampling": encode(small_picture(), "JPEG", subsampling=0, quality=95),
    "JPEG stored as RGB": encode(small_picture(), "JPEG", keep_rgb=True),
    "grayscale JPEG": encode(small_picture("L"), "JPEG"),
    "JPEG with an upright EXIF orientation": encode(small_picture(), "JPEG", exif=oriented(1)),
    "JPEG with a second picture": encode(small_picture(), "MPO", save_all=True, append_images=[small_picture("L")]),
    "JPEG with bytes behind it": encode(small_picture(), "JPEG") + b"appended by some camera",
    "RGB PNG": encode(small_picture(), "PNG"),
    "PNG of one column": encode(small_picture(width=1, height=7), "PNG"),
    "grayscale PNG": encode(small_picture("L"), "PNG"),
    "2-bit grayscale PNG": raw_png(40, 33, 2, 0, noise_rows(10, 33)),
    "16-bit RGB PNG": raw_png(40, 33, 16, 2, noise_rows(40 * 6, 33)),
    "PNG with a gamma": raw_png(40, 33, 8, 2, noise_rows(40 * 3, 33), png_chunk(b"gAMA", struct.pack(">I", 100_000))),
}
# Pillow has to decode these once to reach the metadata behind the pixels; without an orientation there they are kept.
KEPT_AFTER_A_LOOK: dict[str, bytes] = {
    "PNG with text behind the pixels": raw_png(
        40, 33, 8, 2, noise_rows(40 * 3, 33), late=png_chunk(b"tEXt", b"Comment\0taken with some camera")
    ),
    "PNG with an upright EXIF behind the pixels": raw_png(
        40, 33, 8, 0, noise_rows(40, 33), late=png_chunk(b"eXIf", oriented(1).tobytes()[6:])
    ),
}

_TRANSPARENT_GREY = png_chunk(b"tRNS", b"\0\1")
REWRITTEN: dict[str, bytes] = {
    "CMYK JPEG": encode(small_picture("CMYK"), "JPEG"),
    "palette PNG": encode(small_picture("P"), "PNG"),
    "palette PNG with transparent entries": encode(small_picture("P"), "PNG", transparency=b"\x00\x80"),
    "RGBA PNG": encode(small_picture("RGBA"), "PNG"),
    "grayscale PNG with alpha": encode(small_picture("LA"), "PNG"),
    "RGB PNG with a transparent colour": encode(small_picture(), "PNG", transparency=(1, 2, 3)),
    "grayscale PNG with a transparent level": encode(small_picture("L"), "PNG", transparency=7),
    "1-bit PNG": encode(small_picture("1"), "PNG"),
    "1-bit PNG with a transparent level": raw_png(40, 33, 1, 0, noise_rows(5, 33), _TRANSPARENT_GREY),
    "BMP": encode(small_picture(), "BMP"),
    "palette BMP": encode(small_picture("P"), "BMP"),
    "1-bit BMP": encode(small_picture("1"), "BMP"),
    "lossy WebP": encode(small_picture(), "WEBP", quality=70),
    "lossless WebP": encode(small_picture(), "WEBP", lossless=True),
    "WebP with alpha": encode(Image.fromarray(noise(33, 40, 4), "RGBA"), "WEBP", quality=90),
    "lossless WebP with alpha": encode(Image.fromarray(noise(33, 40, 4), "RGBA"), "WEBP", lossless=True, exact=True),
    "RGB TIFF": encode(small_picture(), "TIFF"),
    "LZW TIFF": encode(small_picture(), "TIFF", compression="tiff_lzw"),
    "deflated TIFF": encode(small_picture(), "TIFF", compression="tiff_adobe_deflate"),
    "packed TIFF": encode(small_picture("L"), "TIFF", compression="packbits"),
    "JPEG in TIFF": encode(small_picture(), "TIFF", compression="jpeg"),
    "fax in TIFF": encode(small_picture("1"), "TIFF", compression="group4"),
    "grayscale TIFF": encode(small_picture("L"), "TIFF"),
    "grayscale TIFF, white is zero": grey_tiff(noise(33, 40), t262=(0,)),
    "palette TIFF": encode(small_picture("P"), "TIFF"),
    "CMYK TIFF": encode(small_picture("CMYK"), "TIFF", compression="tiff_lzw"),
    "RGBA TIFF": encode(Image.fromarray(noise(33, 40, 4), "RGBA"), "TIFF"),
    "grayscale TIFF with alpha": encode(small_picture("LA"), "TIFF"),
    "big-endian TIFF": grey_tiff(noise(33, 40), ">"),
    "TIFF in a tile": grey_tiff(noise(48, 64), t256=(40,), t257=(33,), t322=(64,), t323=(48,)),
    "GIF": encode(small_picture(), "GIF"),
    "grayscale GIF": encode(small_picture("L"), "GIF", interlace=False),
    "AVIF": encode(small_picture(), "AVIF"),
    "HEIC": HEIC,
    "GIF with a transparent colour": encode(small_picture("P"), "GIF", transparency=3),
}
# The first of several frames.
ANIMATED: dict[str, bytes] = {
    "animated PNG": several_frames("PNG"),
    "animated PNG with a picture of its own": several_frames("PNG", default_image=True),
    "animated WebP": several_frames("WEBP", lossless=True),
    "TIFF of several pages": several_frames("TIFF"),
    "LZW TIFF of several pages": several_frames("TIFF", compression="tiff_lzw"),
    "animated GIF": several_frames("GIF"),
}

# Sixteen bits are a case of their own: Pillow's own conversion to RGB would clip them to white.
SIXTEEN_BITS = np.linspace(0, 65535, 33 * 40).astype(np.uint16).reshape(33, 40)
SIXTEEN_BIT_GREY: dict[str, bytes] = {
    "opaque": raw_png(40, 33, 16, 0, [row.astype(">u2").tobytes() for row in SIXTEEN_BITS]),
    "with a transparent level": raw_png(
        40, 33, 16, 0, [row.astype(">u2").tobytes() for row in SIXTEEN_BITS], png_chunk(b"tRNS", b"\x9c\x40")
    ),
    "TIFF": grey_tiff(SIXTEEN_BITS),
    "deflated TIFF": grey_tiff(SIXTEEN_BITS, deflated=True),
    "big-endian TIFF": grey_tiff(SIXTEEN_BITS, ">"),
    "big-endian deflated TIFF": grey_tiff(SIXTEEN_BITS, ">", deflated=True),
    "TIFF turned once around": grey_tiff(np.ascontiguousarray(SIXTEEN_BITS[::-1, ::-1]), t274=(3,)),
}


SOURCES = {**KEPT, **KEPT_AFTER_A_LOOK, **REWRITTEN, **ANIMATED}
SOURCES |= {"16-bit PNG": SIXTEEN_BIT_GREY["opaque"], "16-bit TIFF": SIXTEEN_BIT_GREY["deflated TIFF"]}
SOURCES["turned JPEG"] = encode(small_picture(), "JPEG", exif=oriented(6))
SOURCES["turned PNG"] = encode(small_picture(), "PNG", exif=oriented(6))


def assert_tensorflow_agrees(image: CanonicalImage) -> None:
    # `decode_jpeg` reads PNG as well; its default inverse transform would be the fast one, which rounds differently.
    decoded = tf.io.decode_jpeg(image.encoded, channels=3, dct_method="INTEGER_ACCURATE").numpy()
    assert decoded.shape == (image.height, image.width, 3)
    np.testing.assert_array_equal(decoded, pixels_of(image.encoded))
    if image.format == "png":  # which the trainer hands to `decode_image`
        shown = tf.io.decode_image(image.encoded, channels=3, expand_animations=False).numpy()
        np.testing.assert_array_equal(shown, decoded)
