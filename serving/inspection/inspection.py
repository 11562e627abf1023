"""What an inspection found in one photograph, and with what."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from crackgate.contracts.positive_names import say_rule
from crackgate.images.geotag import Geotag
from serving.inspection.measures import Measures


@dataclass(frozen=True)
class Inspection:
    """One photograph, or the `error` for which it could not be inspected; the other optional fields are None then.

    Attributes:
        photograph: Its path as it was found.
        model_version: Number of the version, or "unreleased".
        files: Folder below the output that has its overlay and tiles.
        width: In pixels, as the height.
        taken: ISO 8601 by the camera's clock; None where the file does not say.
        geotag: Where it was taken; None where the file does not say.
        geotag_error: Why its position cannot be used; "" where it can, or there is none.
    """

    photograph: str
    model_version: str
    files: str | None = None
    width: int | None = None
    height: int | None = None
    taken: str | None = None
    geotag: Geotag | None = None
    geotag_error: str = ""
    measures: Measures | None = None
    error: str | None = None

    def row(self) -> dict[str, Any]:
        """The measures beside the rest, in the order of the summary's columns."""
        row = asdict(self)
        position = row.pop("geotag") or dict.fromkeys(field.name for field in fields(Geotag))
        taken = {"taken": row.pop("taken"), **position, "geotag_error": row.pop("geotag_error")}
        found = row.pop("measures") or dict.fromkeys(field.name for field in fields(Measures))
        last = {name: row.pop(name) for name in ("model_version", "error")}
        return row | found | taken | last

    def feature(self) -> dict[str, Any] | None:
        """The measures at the place where the photograph was taken, as GeoJSON; None where that is not known."""
        if self.geotag is None or self.measures is None:
            return None
        told = {"photograph": self.photograph, "files": self.files, "taken": self.taken}
        return {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": self.geotag.coordinates},
            "properties": told | asdict(self.measures) | {"model_version": self.model_version},
        }


@dataclass(frozen=True)
class InspectionSettings:
    """Model and tiles of a set of photographs.

    Attributes:
        model_version: Number of the version, or "unreleased".
        positive_classes: Those that are looked for.
        threshold: Sum of their scores from which on a tile is positive, 0 to 1.
        tile_px: Side of a tile, in pixels of the photographs.
        overlap: Share of a tile that its neighbour covers at least.
    """

    model_version: str
    positive_classes: tuple[str, ...]
    threshold: float
    tile_px: int
    overlap: float

    def __str__(self) -> str:
        """For a line of text."""
        return (
            f"Model {self.model_version}, {say_rule(self.positive_classes, self.threshold)}; "
            f"tiles of {self.tile_px} px, of which neighbours share {self.overlap:.0%}"
        )
