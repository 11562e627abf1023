"""An image's texture: means of channels where the backbone still looks at small parts of the image."""

import math

import keras

from trainer.network.backbones import find_cuts, narrowest_near_top

# The last places at which a value of the map stands for 8 and for 16 pixels, to the nearest power of two.
_LOG2_STRIDES = (3, 4)
# Maps of more places are colours and edges.
_LEAST_LOG2_STRIDE = 2
# Bounds the description of the training images, which grows with the square.
_MOST_CHANNELS = 128


def texture_of(backbone: keras.Model) -> keras.KerasTensor:
    """The texture of a backbone's input: float32 (batch, 1, 1, features) from a tensor of the same graph.

    Deeper layers learn to overlook the surface; these keep it. A backbone without such a place gives its last map.
    """
    maps = {index: _log2_stride(backbone, backbone.operations[index].output) for index in find_cuts(backbone)}
    chosen: dict[int, keras.KerasTensor] = {}
    for highest in _LOG2_STRIDES:
        cuts = [index for index, stride in maps.items() if _LEAST_LOG2_STRIDE <= stride <= highest]
        tensor = narrowest_near_top(backbone, cuts) if cuts else backbone.output
        chosen[id(tensor)] = tensor
    means = []
    for tensor in chosen.values():
        step = -(-tensor.shape[-1] // _MOST_CHANNELS)
        mean = keras.ops.mean(tensor, axis=(1, 2), keepdims=True)
        means.append(mean[..., ::step] if step > 1 else mean)
    return keras.ops.concatenate(means, axis=-1) if len(means) > 1 else means[0]


def _log2_stride(backbone: keras.Model, output: object) -> int:
    """For a map of places, the rounded logarithm of the image's pixels for each; -1 for any other output."""
    if not isinstance(output, keras.KerasTensor) or len(output.shape) != 4 or None in output.shape[1:]:
        return -1
    return round(math.log2(backbone.input_shape[1] / output.shape[1]))
