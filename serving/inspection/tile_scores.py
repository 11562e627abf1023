"""Scores of all tiles of a photograph, in one of two ways.

`ByTiles` runs every tile through the whole network. `ByStrips` runs each row of tiles as one strip through the early
layers, which so work once where tiles overlap, and every tile's piece of the result through the others. At the border
of a tile the early layers then see the neighbouring pixels; they see a few pixels far, so the scores hardly change.
`fastest_scorer` compares the two.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from crackgate.model.inference_requests import InferenceRequests, import_openvino
from crackgate.model.released_model import ReleasedModel
from serving.inspection.grid import ALIGNMENT, Grid

log = logging.getLogger("crackgate")

# Pieces of one inference request: more no longer fit a core's cache together.
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
    # OpenVINO raises many types where it cannot convert or scale the network.
    except Exception as error:
        log.info("tiles are scored one by one: %s", error)
        return tiles
    log.info("tiles are scored in strips; the scores differ from those of single tiles by %.2g on average", off)
    return strips


class ByTiles:
    """Every tile by itself: the reference."""

    def __init__(self, model: ReleasedModel):
        """Takes a model with a positive class."""
        self._model, self._positive = model, _positive_label(model)

    def score(self, pixels: np.ndarray, grid: Grid) -> np.ndarray:
        """See `TileScorer`."""
        size = self._model.image_size
        scores = np.empty(grid.shape, np.float32)
        for row, y in enumerate(grid.rows.starts):
            tiles = np.stack([pixels[y : y + size, x : x + size] for x in grid.columns.starts])
            scores[row] = self._model.score_pixels(tiles.astype(np.float32))[:, self._positive]
        return scores


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
        early, late, self._width_axis = _cut(_convert(model), model.image_size)
        self._piece_shape = [_REQUEST, *[*late.input(0).shape][1:]]
        late.reshape(self._piece_shape)
        self._early_network, self._late = early, InferenceRequests(late, "THROUGHPUT")
        self._early: tuple[int, InferenceRequests] | None = None

    def score(self, pixels: np.ndarray, grid: Grid) -> np.ndarray:
        """See `TileScorer`."""
        scores = np.empty(math.prod(grid.shape), np.float32)
        pieces = self._pieces(pixels, grid)
        for first in range(0, len(scores), _REQUEST):
            rows = scores[first : first + _REQUEST]
            values = np.zeros(self._piece_shape, np.float32)
            for piece in range(len(rows)):
                values[piece] = next(pieces)
            self._late.start(values, self._writing(rows))
        self._late.finish()
        return scores.reshape(grid.shape)

    def _pieces(self, pixels: np.ndarray, grid: Grid) -> Iterator[np.ndarray]:
        """The early layers' output for each tile."""
        early = self._early_for(pixels.shape[1])
        side = self._size // ALIGNMENT
        for y in grid.rows.starts:
            strip = pixels[y : y + self._size].astype(np.float32)
            activations = early.infer(strip[None], lambda outputs: outputs[0][0].copy())
            for x in grid.columns.starts // ALIGNMENT:
                yield activations.take(range(x, x + side), axis=self._width_axis - 1)

    def _writing(self, rows: np.ndarray) -> Callable[[Sequence[np.ndarray]], None]:
        def write(outputs: Sequence[np.ndarray]) -> None:
            rows[:] = outputs[0][: len(rows), self._positive]

        return write

    def _early_for(self, width: int) -> InferenceRequests:
        """Compiled for photographs of one width; most sets have one or two."""
        if self._early is None or self._early[0] != width:
            self._early_network.reshape([1, self._size, width, 3])
            self._early = width, InferenceRequests(self._early_network, "LATENCY")
        return self._early[1]


def _sample(grid: Grid) -> Grid:
    """Some rows of the grid, from top to bottom."""
    rows = max(1, _COMPARED // grid.shape[1])
    chosen = np.unique(np.linspace(0, grid.shape[0] - 1, rows).round().astype(int))
    return Grid(type(grid.rows)(**{**vars(grid.rows), "starts": grid.rows.starts[chosen]}), grid.columns)


def _positive_label(model: ReleasedModel) -> int:
    assert model.positive_class is not None
    return model.classes.index(model.positive_class)


def _convert(model: ReleasedModel) -> Any:
    """From (batch, size, size, 3) in 0 to 255 to scores."""
    network = import_openvino().convert_model(model.loaded.score_pixels.concrete_functions[0])
    network.reshape([1, model.image_size, model.image_size, 3])
    return network


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
        raise CannotCutError(f"for twice the width, the early layers make {wide} of {narrow}")
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
