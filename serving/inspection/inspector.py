"""From photographs to their overlays, tiles and measures."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from crackgate.atomic_files import write_text
from crackgate.images.image_folder import readable_path
from crackgate.images.rejection import RejectedImageError
from crackgate.model.released_model import ReleasedModel
from crackgate.pages.shown_text import show
from crackgate.storage.location import Location
from serving.inspection.grid import Grid, lay_grid
from serving.inspection.inspection import Inspection, InspectionSettings
from serving.inspection.measures import Measures, TileScores, measure
from serving.inspection.overlay import write_pictures
from serving.inspection.photograph import read_photograph, scale
from serving.inspection.tile_files import POSITIVE_TILES_FILE, TILES_FILE, render_csv, render_geojson
from serving.inspection.tile_scores import score_tiles


class Inspector:
    """Inspects one photograph after the other; nothing of one is kept for the next."""

    def __init__(self, model: ReleasedModel, tile: int, overlap: float):
        """Takes a model with positive classes; see `InspectionSettings` for the others."""
        assert model.threshold is not None
        self._model, self._threshold = model, model.threshold
        self.settings = InspectionSettings(model.version, model.positive_classes, model.threshold, tile, overlap)

    def inspect(self, files: Iterable[Location], output: Path) -> Iterator[Inspection]:
        """Inspects photographs; reports those that cannot be read, and goes on.

        Each gets a folder below `output` with `tiles.csv`, `tiles.geojson`, and the files of `write_pictures`.
        """
        for number, file in enumerate(files, start=1):
            name = readable_path(os.fsencode(file))
            try:
                photograph = read_photograph(file, self._model.limits)
            except (RejectedImageError, OSError) as error:
                reason = f"unreadable: {error.strerror}" if isinstance(error, OSError) else str(error)
                yield Inspection(name, self._model.version, error=reason)
                continue
            pixels = photograph.pixels
            height, width, _ = pixels.shape
            tiles, grid = self.score(pixels)
            measures = measure(tiles.scores, self._threshold, tiles.unfamiliarity)
            # Numbered: two photographs of one name are two photographs.
            folder = output / f"{number:06d}-{_safe(Path(file).stem)}"
            self._write(folder, pixels, tiles, grid, measures, name)
            yield Inspection(
                name,
                self._model.version,
                folder.name,
                width,
                height,
                photograph.taken,
                photograph.geotag,
                photograph.geotag_error,
                measures,
            )

    def score(self, pixels: np.ndarray) -> tuple[TileScores, Grid]:
        """Scores the tiles of a photograph, uint8 (height, width, 3), and says where they lie."""
        tile, overlap = self.settings.tile_px, self.settings.overlap
        grid = lay_grid(pixels.shape[1], pixels.shape[0], tile, self._model.image_size, overlap)
        return score_tiles(self._model, scale(pixels, grid), grid), grid

    def _write(
        self, folder: Path, pixels: np.ndarray, tiles: TileScores, grid: Grid, measures: Measures, name: str
    ) -> None:
        folder.mkdir()
        write_text(folder / TILES_FILE, render_csv(tiles, self._threshold, grid))
        write_text(folder / POSITIVE_TILES_FILE, render_geojson(tiles.scores, self._threshold, grid, name))
        write_pictures(folder, pixels, tiles.scores, self._threshold, grid, measures, show(Path(name).name))


def _safe(name: str) -> str:
    """Fit for a folder and for a link, whatever a photograph is called."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in name)[:60]
