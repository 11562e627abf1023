"""Where in a photograph the positive class is: what the page shows."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from serving.service.errors import Code, ServiceError
from serving.service.model_versions import ServedVersion
from serving.service.predictor import Predictor

if TYPE_CHECKING:
    from crackgate.model.released_model import ReleasedModel

# Side of a tile in the photograph's pixels, and the share of it that neighbours cover.
_TILE = 227
_OVERLAP = 0.5
# Photographs that are looked at or wait for it; each takes seconds, and some hundred megabytes while it lasts.
_MOST_PHOTOGRAPHS = 3


class HeatMapper:
    """Looks at one photograph at a time, beside the predictions."""

    def __init__(self, predictor: Predictor):
        self._predictor = predictor
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="heat maps")
        self._photographs = 0

    async def look(self, served: ServedVersion, photograph: bytes) -> dict[str, Any]:
        """Scores a photograph as a whole and place by place.

        Args:
            served: The version that answers.
            photograph: A file's content.

        Returns:
            Width and height in pixels; `whole`, the outputs of `predict_images` with scores by class; and `map`: `rows`
            and `columns`, where its cells begin and end, in pixels of the photograph; `scores` of the positive class,
            row by row; the highest of them, and how many are `positive`. Without a positive class `map` is None.

        Raises:
            ServiceError: It is no photograph, it is too large, or too many are being looked at.
        """
        if self._photographs >= _MOST_PHOTOGRAPHS:
            raise ServiceError(
                Code.RESOURCE_EXHAUSTED, f"{self._photographs} photographs are being looked at: try again later"
            )
        self._photographs += 1
        try:
            mapping = asyncio.get_running_loop().run_in_executor(self._thread, self._map, served.model, photograph)
            found = await mapping
            outputs = await self._predictor.predict(served, "predict_images", [photograph])
        finally:
            self._photographs -= 1
        whole = {name: values[0] for name, values in outputs.items()}
        whole["scores"] = dict(zip(served.model.classes, whole["scores"], strict=True))
        return {"whole": whole, **found}

    def close(self) -> None:
        """Ends the thread, once its photograph is done."""
        self._thread.shutdown()

    def _map(self, model: "ReleasedModel", photograph: bytes) -> dict[str, Any]:
        from crackgate.contracts.image_limits import ImageLimits
        from crackgate.images.image_file import RejectedImageError, viewer_pixels
        from serving.inspection.grid import Grid, lay_axis
        from serving.inspection.measures import measure
        from serving.inspection.photograph import scale
        from serving.inspection.tile_scores import ByTiles

        try:
            pixels = viewer_pixels(photograph, ImageLimits())
        except RejectedImageError as rejection:
            raise ServiceError(Code.INVALID_ARGUMENT, str(rejection)) from None
        height, width, _ = pixels.shape
        size = {"width": width, "height": height}
        if model.positive_class is None or model.threshold is None:
            return {**size, "map": None, "map_missing": "There is no heat map: this model has no positive class."}
        rows, columns = (lay_axis(length, _TILE, model.image_size, _OVERLAP) for length in (height, width))
        grid = Grid(rows, columns)
        scaled = scale(pixels, grid)
        scores = ByTiles(model).score(scaled, grid)
        measures = measure(scores, model.threshold, grid)
        return {
            **size,
            "positive_class": model.positive_class,
            "threshold": model.threshold,
            "map": {
                "rows": rows.edges.tolist(),
                "columns": columns.edges.tolist(),
                "scores": scores.tolist(),
                "highest": measures.highest_score,
                "positive": measures.positive_tiles,
                "cracked_share": measures.cracked_share,
            },
        }
