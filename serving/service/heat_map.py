"""The heat map of a photograph, for the page."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from serving.inspection import OVERLAP, usual_tile
from serving.service.errors import Code, ServiceError, busy, invalid, shortened
from serving.service.model_versions import ServedVersion
from serving.service.predictor import Predictor

if TYPE_CHECKING:
    from crackgate.model.released_model import ReleasedModel
    from serving.inspection.grid import Grid

# Photographs at one time; each takes seconds and some hundred megabytes.
_MOST_PHOTOGRAPHS = 3
# Pixels of a photograph that is scaled so that its tiles have the network's size; 3 bytes each.
_MOST_SCALED = 150_000_000
# Allowed sides of a tile, as for `crackgate inspect`.
_SIDES = range(32, 8193)


class HeatMapper:
    """Maps one photograph at a time, beside the predictions."""

    def __init__(self, predictor: Predictor, answer_seconds: float):
        self._predictor, self._seconds = predictor, answer_seconds
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="heat maps")
        self._photographs = 0
        # From the latest photograph to its answer.
        self._latest_seconds = 0.0

    async def look(self, served: ServedVersion, photograph: bytes, tile: str = "") -> dict[str, Any]:
        """Scores a photograph's bytes tile by tile, and as a whole where one tile or no heat map covers it.

        `tile` is the side of a tile in pixels of the photograph, as text; "" takes the one of the training images.

        Returns:
            `width` and `height` in pixels; `whole`, the outputs of `predict_images` with scores by class, or None: a
            network that is shown a whole wall at once sees no crack; and `map`, None without a positive class: the side
            of a `tile`; `rows` and `columns`, where its cells begin and end in pixels; positive `scores`, row by row;
            the `highest` of them; which tiles reach the threshold (`is_positive`), and how many (`positive`);
            `positive_tile_share`; and `csv`, as `crackgate inspect` writes it.

        Raises:
            ServiceError: It is no photograph, it is too large, it takes too long, too many are being scored, or the
                tile is of no size that is allowed.
        """
        side = _read_side(tile)
        if self._photographs >= _MOST_PHOTOGRAPHS:
            raise busy(f"{self._photographs} photographs are being scored, no more are allowed:", self._latest_seconds)
        self._photographs += 1
        started = time.monotonic()
        try:
            loop = asyncio.get_running_loop()
            deadline = started + self._seconds
            async with asyncio.timeout(self._seconds):
                found = await loop.run_in_executor(self._thread, self._map, served.model, photograph, side, deadline)
            whole = None
            if found["map"] is None or found["map"]["tiles"] == 1:
                outputs = await self._predictor.predict(served, "predict_images", [photograph])
                whole = {name: values[0] for name, values in outputs.items()}
                whole["scores"] = dict(zip(served.model.classes, whole["scores"], strict=True))
        except TimeoutError:
            raise self._too_late() from None
        finally:
            self._photographs -= 1
            self._latest_seconds = time.monotonic() - started
        return {"whole": whole, **found}

    def close(self, wait: bool = False) -> None:
        """Ends the thread, after its row of tiles; `wait` until then."""
        self._closed = True
        self._thread.shutdown(wait, cancel_futures=True)

    def _too_late(self) -> ServiceError:
        return ServiceError(
            Code.DEADLINE_EXCEEDED,
            f"no heat map within {self._seconds:g} s: send a smaller part of the photograph, or use crackgate inspect",
        )

    def _map(self, model: "ReleasedModel", photograph: bytes, side: int | None, deadline: float) -> dict[str, Any]:
        import numpy as np

        from crackgate.contracts.image_limits import ImageLimits
        from crackgate.images.image_file import viewer_pixels
        from crackgate.images.rejection import RejectedImageError
        from serving.inspection.measures import is_positive, measure
        from serving.inspection.photograph import scale
        from serving.inspection.tile_files import render_csv
        from serving.inspection.tile_scores import score_tiles

        try:
            pixels = viewer_pixels(photograph, ImageLimits().widened(model.limits))
        except RejectedImageError as rejection:
            raise invalid(str(rejection)) from None
        height, width, _ = pixels.shape
        size = {"width": width, "height": height}
        if model.threshold is None:
            return {**size, "map": None, "map_missing": "There is no heat map: this model has no positive class."}
        tile = side or usual_tile(model.scale)
        grid = lay_bounded_grid(width, height, tile, model.image_size)

        def check_time() -> None:
            if self._closed or time.monotonic() > deadline:
                raise self._too_late()

        tiles = score_tiles(model, scale(pixels, grid), grid, check_time)
        measures = measure(tiles.scores, model.threshold, tiles.unfamiliarity)
        return {
            **size,
            "positive_classes": model.positive_classes,
            "threshold": model.threshold,
            "map": {
                "tile": tile,
                "tiles": measures.tiles,
                "rows": grid.rows.edges.tolist(),
                "columns": grid.columns.edges.tolist(),
                # A score that is no number is positive, and JSON has no such number.
                "scores": np.nan_to_num(tiles.scores, nan=1.0).tolist(),
                "is_positive": is_positive(tiles.scores, model.threshold).tolist(),
                "highest": measures.highest_score,
                "positive": measures.positive_tiles,
                "positive_tile_share": measures.positive_tile_share,
                "unfamiliar_share": measures.unfamiliar_share,
                "csv": render_csv(tiles, model.threshold, grid),
            },
        }


def lay_bounded_grid(width: int, height: int, tile: int, image_size: int) -> "Grid":
    """The tiles of a photograph, whose scaled pixels fit into memory.

    Raises:
        ServiceError: Tiles of so few pixels, enlarged to the network's `image_size`, would make too large a photograph.
    """
    from serving.inspection.grid import lay_grid

    grid = lay_grid(width, height, tile, image_size, OVERLAP)
    if grid.rows.scaled * grid.columns.scaled > _MOST_SCALED:
        raise invalid(
            f"tile: received {tile} pixels, which would enlarge the photograph of {width}x{height} to "
            f"{grid.columns.scaled}x{grid.rows.scaled}; allowed are {_MOST_SCALED:,} pixels in all: give a larger "
            "tile, or use crackgate inspect"
        )
    return grid


def _read_side(tile: str) -> int | None:
    if not tile:
        return None
    # No number of more digits is allowed, and Python would not read some.
    side = int(tile) if tile.isascii() and tile.isdecimal() and len(tile) < 9 else 0
    if side not in _SIDES:
        raise invalid(
            f"tile: received {shortened(tile)!r}; allowed are whole numbers of pixels from {_SIDES.start} to "
            f"{_SIDES.stop - 1}, or nothing for that of the training images"
        )
    return side
