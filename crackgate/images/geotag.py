"""The place where a photograph was taken: the GPS position in its EXIF."""

import math
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

from crackgate.images import exif

_REFERENCES = {"latitude": {"N": 1, "S": -1}, "longitude": {"E": 1, "W": -1}}
_TAGS = {
    "latitude": (ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef),
    "longitude": (ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef),
}
_MOST = {"latitude": 90, "longitude": 180}
# The altitude's reference: below sea level.
_BELOW = 1


class UnusableGeotagError(ValueError):
    """A file has a GPS position that cannot be one; the text says why."""


@dataclass(frozen=True)
class Geotag:
    """A position in WGS84.

    Attributes:
        longitude: Degrees, -180 to 180, east of Greenwich above 0.
        latitude: Degrees, -90 to 90, north of the equator above 0.
        altitude: Metres above the sea as the receiver counts them; None where it does not say.
    """

    longitude: float
    latitude: float
    altitude: float | None = None

    @property
    def coordinates(self) -> list[float]:
        """As GeoJSON has them (RFC 7946): longitude, latitude, and the altitude where it is known."""
        return [self.longitude, self.latitude, *(() if self.altitude is None else (self.altitude,))]


def read_geotag(image: Image.Image) -> Geotag | None:
    """Reads the position of an opened image; None where its EXIF has none.

    Raises:
        UnusableGeotagError: It has one that is incomplete, no number, out of range, or zero on both axes, which
            receivers write that have found no satellites.
    """
    tags = exif.directory(image, ExifTags.IFD.GPSInfo)
    if not any(tags.get(tag) for pair in _TAGS.values() for tag in pair):
        return None
    longitude, latitude = (_degrees(axis, tags) for axis in ("longitude", "latitude"))
    if longitude == latitude == 0:
        raise UnusableGeotagError("its GPS position is 0, 0, as of a receiver that found no satellites")
    return Geotag(longitude, latitude, _altitude(tags))


def _degrees(axis: str, tags: dict[int, Any]) -> float:
    value_tag, reference_tag = _TAGS[axis]
    parts, reference = _numbers(tags.get(value_tag)), tags.get(reference_tag)
    text = reference.decode("latin-1") if isinstance(reference, bytes) else str(reference or "")
    signs = _REFERENCES[axis]
    sign = signs.get(text.strip(" \0").upper())
    if sign is None:
        raise UnusableGeotagError(f"its GPS {axis} has no {' or '.join(signs)}, so its side is not known")
    if not 1 <= len(parts) <= 3 or not all(math.isfinite(part) and part >= 0 for part in parts):
        raise UnusableGeotagError(f"its GPS {axis} is not in degrees, minutes and seconds")
    degrees = sum(part / 60**position for position, part in enumerate(parts))
    if degrees > _MOST[axis] or any(part > 60 for part in parts[1:]):
        raise UnusableGeotagError(f"its GPS {axis} is out of range: {', '.join(f'{part:g}' for part in parts)}")
    # A tenth of a millimetre on the ground; 0 is added, since there is no -0.
    return round(sign * degrees, 9) + 0.0


def _altitude(tags: dict[int, Any]) -> float | None:
    metres = _numbers(tags.get(ExifTags.GPS.GPSAltitude))
    if len(metres) != 1 or not math.isfinite(metres[0]):
        return None
    reference = tags.get(ExifTags.GPS.GPSAltitudeRef)
    below = reference in (_BELOW, bytes([_BELOW]))
    return round(-metres[0] if below else metres[0], 3)


def _numbers(value: Any) -> list[float]:
    """EXIF's rational numbers; NaN for those without a denominator, nothing for what is no number."""
    try:
        return [float(part) for part in (value if isinstance(value, tuple) else (value,))]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return []
