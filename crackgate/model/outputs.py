"""The outputs of a released network for decoded images, whatever engine computes them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from crackgate.contracts.model_files import UNFAMILIARITY_TOLERANCE


class Outputs(NamedTuple):
    """Calibrated scores, float32 (images, classes), and unfamiliarity, float32 (images,), None where it is unknown."""

    scores: np.ndarray
    unfamiliarity: np.ndarray | None = None

    def replace_rows(self, rows: np.ndarray, others: "Outputs") -> None:
        """Puts other outputs into the place of the marked rows, bool (images,)."""
        for values, other in zip(self, others, strict=True):
            if values is not None:
                values[rows] = other


def network_function(loaded: Any) -> Any:
    """A SavedModel's function from pixels to its outputs; that of an older release gives scores alone."""
    return loaded.examine_pixels if hasattr(loaded, "examine_pixels") else loaded.score_pixels


def as_outputs(tensors: Any) -> Outputs:
    """Copies what `network_function` gives: one tensor or several."""
    several = tensors if isinstance(tensors, tuple | list) else (tensors,)
    return Outputs(*(np.array(tensor) for tensor in several))


def join_outputs(parts: Sequence[Outputs]) -> Outputs:
    """The outputs for one set of images or more as those for one."""
    return Outputs(*(np.concatenate(column) for column in zip(*parts, strict=True) if column[0] is not None))


def distance(found: Outputs, expected: Outputs, tolerance: float) -> float:
    """How far scores lie from others; raises ValueError where these, or unfamiliarity, lie too far.

    `tolerance` is that of the scores.
    """
    off = _apart("scores", found.scores, expected.scores, tolerance)
    if found.unfamiliarity is not None or expected.unfamiliarity is not None:
        _apart("unfamiliarity", found.unfamiliarity, expected.unfamiliarity, UNFAMILIARITY_TOLERANCE)
    return off


def _apart(name: str, found: np.ndarray | None, expected: np.ndarray | None, tolerance: float) -> float:
    """The largest difference; of values above 1 as a share of them."""
    if found is None or expected is None or found.shape != expected.shape:
        shapes = [None if values is None else values.shape for values in (found, expected)]
        raise ValueError(f"its {name} are of shape {shapes[0]}, TensorFlow's of {shapes[1]}")
    with np.errstate(invalid="ignore"):
        off = float((np.abs(found - expected) / np.maximum(expected, 1)).max())
    # NaN is no agreement, either.
    if not off <= tolerance:
        raise ValueError(f"its {name} differ from TensorFlow's by {off:.1g}, {tolerance:g} is allowed")
    return off
