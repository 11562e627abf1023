"""Scores of all tiles of a photograph, in one of two ways.

`ByTiles` runs every tile through the whole network. `ByStrips` runs each row of tiles as one strip through the
network's early layers, and then every tile's piece of the outcome through the others, so that where tiles overlap the
early layers work once. At the left and right border of a tile, they see the neighbouring pixels then and not the edge
of a picture; the early layers see only a few pixels far, so the scores hardly change. `fastest_scorer` makes sure of
that.
"""

import logging
import math
import queue
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from serving.inspection.grid import ALIGNMENT, Grid
from serving.released_model import ReleasedModel
from trainer.engine import import_openvino

log = logging.getLogger("crackgate")

# Tiles of one inference request: more no longer fit a core's cache together.
_REQUEST = 4
# By how much the scores of strips may differ from those of tiles, on average.
TOLERANCE = 0.02
# Tiles that the two ways are compared on.
_COMPARED = 64


class CannotCutError(ValueError):
    """A network that has no place to cut it between early and late layers."""


class TileScorer(Protocol):
    """Scores the tiles of a photograph."""

    def score(self, pixels: np.ndarray, grid: Grid) -> np.ndarray:
        """Returns float32 (rows, columns), the positive class's score of each tile, 0 to 1.

        Args:
            pixels: uint8 (scaled height, scaled width, 3), see `photograph.scale`.
            grid: Of the photograph.
        """


def fastest_scorer(model: ReleasedModel, pixels: np.ndarray, grid: Grid) -> TileScorer:
    """Returns strips where the network can be cut and their scores agree with tiles' on a photograph, else tiles.

    Args:
        model: With a positive class.
        pixels: Scaled.
        grid: Of that photograph.
    """
    tiles = ByTiles(model)
    try:
        strips = ByStrips(model)
        sample = _sample(grid)
        off = float(np.abs(strips.score(pixels, sample) - tiles.score(pixels, sample)).mean())
        if not off <= TOLERANCE:
            raise CannotCutError(f"scores of strips differ from those of tiles by {off:.2g}, allowed is {TOLERANCE}")
    # Whatever the network has that OpenVINO cannot convert or scale; of many types.
    except Exception as error:
        log.info("tiles are scored one by one: %s", error)
        return tiles
    log.info("tiles are scored in strips; the scores differ from those of single tiles by %.2g on average", off)
    return strips


class ByTiles:
    """Every tile by itself: the reference."""

    def __init__(self, model: ReleasedModel):
        """Takes a model with a positive class."""
        self._size = model.image_size
        self._positive = _positive_label(model)
        try:
            network = _convert(model)
            self._run = _queued(network, _REQUEST)
        # See `fastest_scorer`.
        except Exception as error:
            log.info("the network runs in TensorFlow, slower, for OpenVINO cannot run it: %s", error)
            self._run = _in_tensorflow(model)

    def score(self, pixels: np.ndarray, grid: Grid) -> np.ndarray:
        """See `TileScorer`."""
        tiles = (
            pixels[y : y + self._size, x : x + self._size].astype(np.float32)
            for y in grid.rows.starts
            for x in grid.columns.starts
        )
        return self._run(tiles, grid.rows.starts.size * grid.columns.starts.size)[:, self._positive].reshape(grid.shape)


class ByStrips:
    """The early layers once for each row of tiles."""

    def __init__(self, model: ReleasedModel):
        """Takes a model with a positive class.

        Raises:
            Exception: OpenVINO cannot convert the network, or it cannot be cut; of many types.
        """
        if model.image_size % ALIGNMENT:
            raise CannotCutError(f"the network's size of {model.image_size} is no multiple of {ALIGNMENT}")
        self._size, self._positive = model.image_size, _positive_label(model)
        self._early, late, self._width_axis = _cut(_convert(model), model.image_size)
        self._run = _queued(late, _REQUEST)
        self._compiled: tuple[int, Any] | None = None

    def score(self, pixels: np.ndarray, grid: Grid) -> np.ndarray:
        """See `TileScorer`."""
        early = self._early_for(pixels.shape[1])
        side = self._size // ALIGNMENT

        def pieces() -> Iterator[np.ndarray]:
            for y in grid.rows.starts:
                strip = pixels[y : y + self._size].astype(np.float32)
                # The request's next output goes to the same memory.
                activations = early(strip[None])[0][0].copy()
                for x in grid.columns.starts // ALIGNMENT:
                    yield activations.take(range(x, x + side), axis=self._width_axis - 1)

        return self._run(pieces(), grid.rows.starts.size * grid.columns.starts.size)[:, self._positive].reshape(
            grid.shape
        )

    def _early_for(self, width: int) -> Any:
        """Compiled for photographs of one width; most sets have one or two."""
        if self._compiled is None or self._compiled[0] != width:
            self._early.reshape([1, self._size, width, 3])
            self._compiled = width, import_openvino().Core().compile_model(self._early, "CPU", _hints("LATENCY"))
        return self._compiled[1]


def _sample(grid: Grid) -> Grid:
    """Some rows of the grid, from top to bottom."""
    rows = max(1, _COMPARED // grid.shape[1])
    chosen = np.unique(np.linspace(0, grid.shape[0] - 1, rows).round().astype(int))
    return Grid(type(grid.rows)(**{**vars(grid.rows), "starts": grid.rows.starts[chosen]}), grid.columns)


def _positive_label(model: ReleasedModel) -> int:
    assert model.positive_class is not None
    return model.classes.index(model.positive_class)


def _hints(performance: str) -> dict[str, str]:
    return {"PERFORMANCE_HINT": performance, "INFERENCE_PRECISION_HINT": "f32"}


def _convert(model: ReleasedModel) -> Any:
    """From (batch, size, size, 3) in 0 to 255 to scores."""
    network = import_openvino().convert_model(model.loaded.score_pixels.concrete_functions[0])
    network.reshape([1, model.image_size, model.image_size, 3])
    return network


def _queued(network: Any, at_once: int) -> Any:
    """Makes a function from any number of inputs to scores, computed in requests side by side."""
    openvino = import_openvino()
    shape = [*network.input(0).shape]
    network.reshape([at_once, *shape[1:]])
    compiled = openvino.Core().compile_model(network, "CPU", _hints("THROUGHPUT"))
    at_work = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    # Not an AsyncInferQueue: deleting one waits for its threads, which may wait for Python's lock, for ever.
    free: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(at_work):
        free.put(compiled.create_infer_request())
    pool = ThreadPoolExecutor(at_work, thread_name_prefix="tiles")

    def infer(batch: np.ndarray, rows: np.ndarray) -> None:
        request = free.get()
        try:
            request.infer([batch], share_inputs=True)
            rows[:] = request.get_output_tensor(0).data[: len(rows)]
        finally:
            free.put(request)

    def run(inputs: Iterator[np.ndarray], count: int) -> np.ndarray:
        scores = np.empty((count, compiled.output(0).shape[1]), np.float32)
        batches: deque[Future[None]] = deque()
        for first in range(0, count, at_once):
            rows = scores[first : first + at_once]
            batch = np.zeros((at_once, *shape[1:]), np.float32)
            for place in range(len(rows)):
                batch[place] = next(inputs)
            batches.append(pool.submit(infer, batch, rows))
            # As many again are ready: more would only take memory.
            if len(batches) > 2 * at_work:
                batches.popleft().result()
        for waiting in batches:
            waiting.result()
        return scores

    return run


def _in_tensorflow(model: ReleasedModel) -> Any:
    def run(inputs: Iterator[np.ndarray], count: int) -> np.ndarray:
        scores: list[np.ndarray] = []
        tiles: list[np.ndarray] = []
        for number, values in enumerate(inputs, start=1):
            tiles.append(values)
            if len(tiles) == _REQUEST or number == count:
                scores.append(model.loaded.score_pixels(tf.constant(np.stack(tiles))).numpy())
                tiles = []
        return np.concatenate(scores)

    return run


def _cut(network: Any, size: int) -> tuple[Any, Any, int]:
    """Cuts where the layers have come down to a quarter of the size and a single, narrow tensor passes.

    Returns:
        The early layers, the late ones, and which axis of the tensor between them is the width.
    """
    openvino = import_openvino()
    index = _best_cut(network, size // ALIGNMENT)
    early_copy, late = network.clone(), network
    early = openvino.Model([early_copy.get_ordered_ops()[index].output(0)], early_copy.get_parameters())
    passing = late.get_ordered_ops()[index].output(0)
    entry = openvino.opset8.parameter(passing.get_partial_shape(), passing.get_element_type())
    for use in passing.get_target_inputs():
        use.replace_source_output(entry.output(0))
    late = openvino.Model(late.get_results(), [entry])
    narrow = [*early.output(0).shape]
    early.reshape([1, size, 2 * size, 3])
    wide = [*early.output(0).shape]
    grown = [axis for axis in range(4) if wide[axis] != narrow[axis]]
    if len(grown) != 1 or wide[grown[0]] != 2 * narrow[grown[0]]:
        raise CannotCutError(f"of twice the width, the early layers make {wide} of {narrow}")
    return early, late, grown[0]


def _best_cut(network: Any, side: int) -> int:
    operations = network.get_ordered_ops()
    position = {operation.get_friendly_name(): index for index, operation in enumerate(operations)}
    # Constants pass over a cut; only what depends on the image counts.
    from_image = [False] * len(operations)
    last_use = [-1] * len(operations)
    for index, operation in enumerate(operations):
        sources = [position[value.get_source_output().get_node().get_friendly_name()] for value in operation.inputs()]
        from_image[index] = operation.get_type_name() == "Parameter" or any(from_image[source] for source in sources)
        for source in sources:
            last_use[source] = index
    found, narrowest, needed_until = None, float("inf"), -1
    for index, operation in enumerate(operations):
        if not from_image[index]:
            continue
        shape = [*operation.output(0).shape] if operation.get_output_size() == 1 else []
        # The narrowest is the cheapest to pass on; of equals, the last leaves the least for each tile.
        if needed_until <= index and len(shape) == 4 and shape.count(side) >= 2 and math.prod(shape) <= narrowest:
            found, narrowest = index, math.prod(shape)
        needed_until = max(needed_until, last_use[index])
    if found is None:
        raise CannotCutError(f"no single tensor of {side}x{side} places passes through the network")
    return found
