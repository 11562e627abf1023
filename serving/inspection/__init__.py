"""Finding cracks in whole photographs: tiles with overlap, a heat map and measures for each photograph."""

from crackgate.contracts.scale import TrainedScale

# Side of a tile in pixels of the photograph, for a release that does not say its scale: the size of the images of the
# concrete crack data set.
_USUAL_TILE = 227
# The page of a set of photographs, and the findings at the places where they were taken.
PAGE_FILE, MAP_FILE = "index.html", "findings.geojson"
# Share of a tile that its neighbour covers at least.
OVERLAP = 0.5


def usual_tile(scale: TrainedScale | None) -> int:
    """Side of a tile, in pixels of the photograph, that shows about as much surface as a training image."""
    return _USUAL_TILE if scale is None else scale.tile
