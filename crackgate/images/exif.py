"""A camera's notes in an image file."""

from datetime import datetime
from typing import Any

from PIL import ExifTags, Image

# Letters.
_LONGEST_NAME = 80
# A camera's notes have some kilobytes, with a preview some dozen.
_MOST_BYTES = 2**20


def orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 without one."""
    value = _tag(image, ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def camera(image: Image.Image) -> str:
    """The camera's maker and model in one line, such as "Canon EOS 80D"; "" where the file does not say."""
    names = []
    for tag in (ExifTags.Base.Make, ExifTags.Base.Model):
        value = _tag(image, tag)
        text = value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""
        names.append(" ".join("".join(letter if letter.isprintable() else " " for letter in text).split()))
    maker, model = names
    # Many makers begin the model with their name.
    said = model if model.casefold().startswith(maker.casefold()) else f"{maker} {model}".strip()
    return said[:_LONGEST_NAME]


def taken(image: Image.Image) -> str | None:
    """When the picture was taken, ISO 8601 by the camera's clock, with its offset from UTC where the file has it.

    None where the file does not say, or says no time.
    """
    notes = directory(image, ExifTags.IFD.Exif)
    written, offset = (
        value.strip(" \0") if isinstance(value := notes.get(tag), str) else ""
        for tag in (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal)
    )
    for said, form in ((written + offset, "%Y:%m:%d %H:%M:%S%z"), (written, "%Y:%m:%d %H:%M:%S")):
        try:
            return datetime.strptime(said, form).isoformat()
        except ValueError:
            continue
    return None


def directory(image: Image.Image, tag: int) -> dict[int, Any]:
    """One of EXIF's inner directories, values by tag; empty where there is none, or it is broken."""
    try:
        return dict(_notes(image).get_ifd(tag))
    except Exception:  # of any kind: broken metadata does not make the picture unusable
        return {}


def _tag(image: Image.Image, tag: int) -> object:
    try:
        return _notes(image).get(tag)
    except Exception:  # as above
        return None


def _notes(image: Image.Image) -> Image.Exif:
    """EXIF's main directory; empty where it is too large: Pillow would read it for seconds, again for each tag."""
    stored = (image.info.get(name) or b"" for name in ("exif", "Raw profile type exif"))
    if sum(map(len, stored)) > _MOST_BYTES:
        return Image.Exif()
    # The method of PngImageFile would decode the picture.
    return Image.Image.getexif(image)
