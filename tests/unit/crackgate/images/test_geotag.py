"""Positions in EXIF: signs, units, every format, and receivers that write nonsense."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, TiffImagePlugin
from PIL.TiffImagePlugin import IFDRational

from crackgate.images import exif
from crackgate.images.geotag import Geotag, UnusableGeotagError, read_geotag
from crackgate.images.image_file import viewer_image
from tests.helpers.image_files import HEIC, TINY, small_picture

GPS = ExifTags.GPS
NONE = IFDRational(0, 0)


def _dms(degrees: float, minutes: float = 0, seconds: float = 0) -> tuple[IFDRational, ...]:
    return tuple(IFDRational(round(value * 1000), 1000) for value in (degrees, minutes, seconds))


def _position(**changes: Any) -> dict[int, Any]:
    tags = {
        "GPSLatitudeRef": "N",
        "GPSLatitude": _dms(47, 22, 30),
        "GPSLongitudeRef": "E",
        "GPSLongitude": _dms(8, 32, 24),
    }
    return {GPS[name].value: value for name, value in (tags | changes).items() if value is not None}


def _opened(gps: dict[int, Any], image_format: str = "JPEG", taken: dict[int, Any] | None = None) -> Image.Image:
    buffer = io.BytesIO()
    if image_format == "TIFF":
        directory = TiffImagePlugin.ImageFileDirectory_v2()
        directory[ExifTags.IFD.GPSInfo], directory[ExifTags.IFD.Exif] = gps, taken or {}
        small_picture().save(buffer, "TIFF", tiffinfo=directory)
    else:
        notes = Image.Exif()
        notes[ExifTags.IFD.GPSInfo], notes[ExifTags.IFD.Exif] = gps, taken or {}
        small_picture().save(buffer, image_format, exif=notes)
    return viewer_image(buffer.getvalue(), TINY)[1]


@pytest.mark.parametrize("image_format", ["JPEG", "MPO", "PNG", "TIFF", "WEBP", "AVIF", "HEIC"])
def test_every_format_tells_its_place_and_time(image_format: str) -> None:
    taken = {ExifTags.Base.DateTimeOriginal: "2026:05:01 10:11:12", ExifTags.Base.OffsetTimeOriginal: "+02:00"}
    image = viewer_image(HEIC, TINY)[1] if image_format == "HEIC" else _opened(_position(), image_format, taken)
    assert read_geotag(image) == Geotag(pytest.approx(8.54), pytest.approx(47.375))
    assert exif.taken(image) == "2026-05-01T10:11:12+02:00"


@pytest.mark.parametrize(
    ("references", "signs"),
    [(("N", "E"), (1, 1)), (("S", "W"), (-1, -1)), (("s", "e"), (-1, 1)), (("N ", "w"), (1, -1))],
    ids=["north east", "south west", "small letters", "padded"],
)
def test_south_and_west_are_below_zero(references: tuple[str, str], signs: tuple[int, int]) -> None:
    geotag = read_geotag(_opened(_position(GPSLatitudeRef=references[0], GPSLongitudeRef=references[1])))
    assert geotag is not None
    assert geotag.coordinates == pytest.approx([8.54 * signs[1], 47.375 * signs[0]])


UNUSABLE = {
    "no satellites": ({"GPSLatitude": _dms(0), "GPSLongitude": _dms(0)}, "0, 0"),
    "zero by zero": ({"GPSLatitude": (NONE, NONE, NONE)}, "latitude is not in degrees"),
    "seconds zero by zero": ({"GPSLongitude": (*_dms(8, 32)[:2], NONE)}, "longitude is not in degrees"),
    "no reference": ({"GPSLatitudeRef": None}, "latitude has no N or S"),
    "another reference": ({"GPSLongitudeRef": "X"}, "longitude has no E or W"),
    "latitude alone": ({"GPSLongitude": None, "GPSLongitudeRef": None}, "longitude has no E or W"),
    "latitude 91": ({"GPSLatitude": _dms(91)}, "latitude is out of range: 91"),
    "latitude 90 and a minute": ({"GPSLatitude": _dms(90, 1)}, "out of range"),
    "longitude 181": ({"GPSLongitude": _dms(181)}, "longitude is out of range: 181"),
    "61 minutes": ({"GPSLatitude": _dms(47, 61)}, "out of range"),
    "four numbers": ({"GPSLatitude": (*_dms(1, 2, 3), IFDRational(4))}, "not in degrees"),
}


@pytest.mark.parametrize(("changes", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_position_that_is_none_is_told(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UnusableGeotagError, match=said):
        read_geotag(_opened(_position(**changes)))


def test_the_ends_of_the_world_are_places() -> None:
    changes = {"GPSLatitude": _dms(90), "GPSLatitudeRef": "S", "GPSLongitude": _dms(180)}
    assert read_geotag(_opened(_position(**changes))) == Geotag(180, -90)
    on_the_equator = read_geotag(_opened(_position(GPSLatitude=_dms(0), GPSLatitudeRef="S")))
    assert on_the_equator is not None and str(on_the_equator.latitude) == "0.0"


@pytest.mark.parametrize(
    ("altitude", "below", "expected"),
    [(IFDRational(4125, 10), b"\0", 412.5), (IFDRational(3), b"\1", -3), (NONE, b"\0", None), (None, None, None)],
    ids=["above", "below", "zero by zero", "none"],
)
def test_the_altitude_is_in_metres(altitude: Any, below: Any, expected: float | None) -> None:
    geotag = read_geotag(_opened(_position(GPSAltitude=altitude, GPSAltitudeRef=below)))
    assert geotag is not None and geotag.altitude == expected
    assert len(geotag.coordinates) == (2 if expected is None else 3)


def test_without_a_position_there_is_none() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(buffer, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    image = viewer_image(buffer.getvalue(), TINY)[1]
    assert read_geotag(image) is None and exif.taken(image) is None
    assert read_geotag(_opened({GPS.GPSVersionID.value: b"\2\3\0\0"})) is None


@pytest.mark.parametrize(
    ("written", "offset", "expected"),
    [
        ("2026:05:01 10:11:12", None, "2026-05-01T10:11:12"),
        ("2026:05:01 10:11:12", "   :  ", "2026-05-01T10:11:12"),
        ("0000:00:00 00:00:00", None, None),
        ("    :  :     :  :  ", "+02:00", None),
        ("<script>", None, None),
    ],
    ids=["no offset", "a blank offset", "zeros", "blanks", "no time"],
)
def test_a_time_that_is_none_is_left_out(written: str, offset: str | None, expected: str | None) -> None:
    taken = {ExifTags.Base.DateTimeOriginal: written}
    if offset is not None:
        taken[ExifTags.Base.OffsetTimeOriginal] = offset
    assert exif.taken(_opened({}, taken=taken)) == expected
