"""What every exported network takes and gives, whatever runs it."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from crackgate.model.outputs import Outputs, network_function

# Names of the network's only input and of its outputs. An integer network has scores alone.
PIXELS, SCORES, UNFAMILIARITY = "pixels", "scores", "unfamiliarity"

# Content of the files of one network, by suffix.
Files = dict[str, bytes]
# From float32 (images, size, size, 3) in 0 to 255 to the outputs.
Run = Callable[[Any], Outputs]


def named_function(loaded: Any, image_size: int, images: int | None, with_unfamiliarity: bool) -> Any:
    """A `tf.function` of a SavedModel's network with the names above.

    Args:
        loaded: The SavedModel.
        image_size: Side of its input, in pixels.
        images: Per run; None is any number.
        with_unfamiliarity: Whether to give that, too, if the model does.
    """

    @tf.function(input_signature=[tf.TensorSpec([images, image_size, image_size, 3], tf.float32, name=PIXELS)])
    def network(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        if not with_unfamiliarity:
            return {SCORES: loaded.score_pixels(pixels)}
        outputs = network_function(loaded)(pixels)
        several = outputs if isinstance(outputs, tuple | list) else (outputs,)
        return dict(zip((SCORES, UNFAMILIARITY), several, strict=False))

    return network


def read_outputs(values: dict[str, Any]) -> Outputs:
    """Outputs by name as `Outputs`."""
    return Outputs(values[SCORES], values.get(UNFAMILIARITY))
