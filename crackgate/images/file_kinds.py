"""Files that do not open as an image: their kind, by the first bytes, and the way out."""

import re

from crackgate.images import heic
from crackgate.images.rejection import RejectedImageError

# The first bytes of files of each format that opens, and the end marks of those that have one.
_BEGINNINGS = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n"),
    "BMP": re.compile(rb"BM....\0{4}", re.DOTALL),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "GIF": re.compile(rb"GIF8[79]a"),
    "AVIF": re.compile(rb"....ftypavi[fs]", re.DOTALL),
    "HEIC": re.compile(rb"....ftyp(hei[cxms]|hev[cxms]|mif[12]|msf1)", re.DOTALL),
}
_END_MARKS = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b"\0;"}

_DEVELOP = "develop it to JPEG, PNG or 8-bit TIFF first, with the camera maker's software or darktable"
_HEIC = (
    "HEIC: install crackgate[heic] to read it, or convert it to JPEG; an iPhone writes JPEG with Settings > Camera > "
    "Formats > Most Compatible"
)
_VIDEO = "a video: save single frames of it as JPEG or PNG, and name them for --group-by"
_DOWNLOAD = "the download failed: fetch the file again"
# Reason, first bytes, what it is and the way out. The first match counts.
_FOREIGN: list[tuple[str, re.Pattern[bytes], str]] = [
    (reason, re.compile(beginning, re.DOTALL | re.IGNORECASE), said)
    for reason, beginning, said in [
        ("format not supported", rb"....ftypcrx ", f"a camera raw (CR3): {_DEVELOP}"),
        ("format not supported", rb"FUJIFILMCCD-RAW", f"a camera raw (RAF): {_DEVELOP}"),
        ("format not supported", rb"IIR[OS]|MMOR", f"a camera raw (ORF): {_DEVELOP}"),
        ("format not supported", rb"IIU\0", f"a camera raw (RW2): {_DEVELOP}"),
        ("format not supported", rb"IIII.waR|MMMMRaw", f"a camera raw (IIQ): {_DEVELOP}"),
        ("format not supported", rb"FOVb", f"a camera raw (X3F): {_DEVELOP}"),
        ("format not supported", rb"\0MRM", f"a camera raw (MRW): {_DEVELOP}"),
        ("format not supported", rb"II....HEAPCCDR", f"a camera raw (CRW): {_DEVELOP}"),
        ("format not supported", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL: convert it to JPEG or PNG"),
        ("format not supported", rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000: convert it to JPEG or PNG"),
        ("not an image", rb"....(ftyp|moov|mdat|wide)|\x1aE\xdf\xa3|RIFF....AVI |\0\0\x01\xba", _VIDEO),
        ("not an image", rb"version https://git-lfs", "a Git LFS pointer: run `git lfs pull` in the data's repository"),
        (
            "not an image",
            rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|\?xml.{0,400}<error)",
            f"a web page: {_DOWNLOAD}",
        ),
        ("not an image", rb"\s*[{\[]\s*[\"{]", f"JSON text: if it is an answer instead of an image, {_DOWNLOAD}"),
        ("not an image", rb"%PDF-", "a PDF: save its pictures as JPEG or PNG"),
        ("not an image", rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!", "an archive: unpack it"),
        ("not an image", rb"\0\x05\x16\x07", "a Mac's AppleDouble file beside the real one: delete it"),
        ("not an image", rb"\0{64}", "only zero bytes: the copy failed, copy the file again"),
    ]
]


def unopened(data: bytes, fault: str) -> RejectedImageError:
    """Explains from the first bytes and the end why a file did not open."""
    kind = next((kind for kind, beginning in _BEGINNINGS.items() if beginning.match(data)), None)
    if kind == "HEIC" and not heic.IS_READ:
        return RejectedImageError("format not supported", _HEIC)
    if kind is not None:
        return RejectedImageError("truncated" if _is_cut(data, kind) else "unreadable", f"begins like {kind}: {fault}")
    for reason, beginning, said in _FOREIGN:
        if beginning.match(data):
            return RejectedImageError(reason, said)
    return RejectedImageError("not an image", f"starts with {data[:12]!r}")


def camera_raw(name: str) -> RejectedImageError:
    """The refusal of a raw file that opens, since its first picture is a preview."""
    return RejectedImageError(
        "format not supported", f"a camera raw ({name}), whose first picture is a preview: {_DEVELOP}"
    )


def _is_cut(data: bytes, kind: str) -> bool:
    """Whether the end mark, or bytes that the header counts, are missing."""
    if kind in _END_MARKS:
        return _END_MARKS[kind] not in data
    if kind == "BMP":
        return len(data) < int.from_bytes(data[2:6], "little")
    if kind == "WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if kind in ("AVIF", "HEIC"):
        return _lacks_box_bytes(data)
    return len(data) <= int.from_bytes(data[4:8], "little" if data[:2] == b"II" else "big")


def _lacks_box_bytes(data: bytes) -> bool:
    """Whether a box of an ISO base media file ends behind the file."""
    place = 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        if size < 8:  # up to the end, or of 64 bits
            return False
        place += size
    return place != len(data)
