"""The heat map of a photograph, for the page."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from serving.inspection import OVERLAP, usual_tile
from serving.service.errors import Code, ServiceError, invalid
from serving.service.model_versions import ServedVersion
from serving.service.predictor import Predictor

if TYPE_CHECKING:
    from crackgate.model.released_model import ReleasedModel

# Photographs at one time; each takes seconds and some hundred megabytes.
_MOST_PHOTOGRAPHS = 3


class HeatMapper:
    """Maps one photograph at a time, beside the predictions."""

    def __init__(self, predictor: Predictor, answer_seconds: float):
        self._predictor, self._seconds = predictor, answer_seconds
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="heat maps")
        self._photographs = 0

    async def look(self, served: ServedVersion, photograph: bytes) -> dict[str, Any]:
        """Scores a photograph's bytes as a whole and tile by tile.

        Returns:
            `width` and `height` in pixels; `whole`, the outputs of `predict_images` with scores by class; and `map`,
            None without a positive class: `rows` and `columns`, where its cells begin and end in pixels; positive
            `scores`, row by row; the `highest` of them; how many tiles are `positive`; `positive_tile_share`.

        Raises:
            ServiceError: It is no photograph, it is too large, it takes too long, or too many are being scored.
        """
        if self._photographs >= _MOST_PHOTOGRAPHS:
            raise ServiceError(
                Code.RESOURCE_EXHAUSTED,
                f"{self._photographs} photographs are being scored, no more are allowed: try again later",
            )
        self._photographs += 1
        try:
            loop = asyncio.get_running_loop()
            deadline = time.monotonic() + self._seconds
            async with asyncio.timeout(self._seconds):
                found = await loop.run_in_executor(self._thread, self._map, served.model, photograph, deadline)
            outputs = await self._predictor.predict(served, "predict_images", [photograph])
        except TimeoutError:
            raise self._too_late() from None
        finally:
            self._photographs -= 1
        whole = {name: values[0] for name, values in outputs.items()}
        whole["scores"] = dict(zip(served.model.classes, whole["scores"], strict=True))
        return {"whole": whole, **found}

    def close(self) -> None:
        """Ends the thread, after its row of tiles."""
        self._closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _too_late(self) -> ServiceError:
        return ServiceError(
            Code.DEADLINE_EXCEEDED,
            f"no heat map within {self._seconds:g} s: send a smaller part of the photograph, or use crackgate inspect",
        )

    def _map(self, model: "ReleasedModel", photograph: bytes, deadline: float) -> dict[str, Any]:
        from crackgate.contracts.image_limits import ImageLimits
        from crackgate.images.image_file import viewer_pixels
        from crackgate.images.rejection import RejectedImageError
        from serving.inspection.grid import lay_grid
        from serving.inspection.measures import measure
        from serving.inspection.photograph import scale
        from serving.inspection.tile_scores import score_tiles

        try:
            pixels = viewer_pixels(photograph, ImageLimits().widened(model.limits))
        except RejectedImageError as rejection:
            raise invalid(str(rejection)) from None
        height, width, _ = pixels.shape
        size = {"width": width, "height": height}
        if model.threshold is None:
            return {**size, "map": None, "map_missing": "There is no heat map: this model has no positive class."}
        grid = lay_grid(width, height, usual_tile(model.scale), model.image_size, OVERLAP)

        def check_time() -> None:
            if self._closed or time.monotonic() > deadline:
                raise self._too_late()

        scores, unfamiliarity = score_tiles(model, scale(pixels, grid), grid, check_time)
        measures = measure(scores, model.threshold, unfamiliarity)
        return {
            **size,
            "positive_classes": model.positive_classes,
            "threshold": model.threshold,
            "map": {
                "rows": grid.rows.edges.tolist(),
                "columns": grid.columns.edges.tolist(),
                "scores": scores.tolist(),
                "highest": measures.highest_score,
                "positive": measures.positive_tiles,
                "positive_tile_share": measures.positive_tile_share,
                "unfamiliar_share": measures.unfamiliar_share,
            },
        }
