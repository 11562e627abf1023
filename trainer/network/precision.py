"""How a layer says that it is to compute in float32 whatever the others train in."""

import keras

# Layers that ask for it share this very object. It is equal to the policy of layers that ask for nothing.
FULL_PRECISION = keras.DTypePolicy("float32")


def asks_full_precision(layer: keras.Layer) -> bool:
    """Whether the layer was made with `FULL_PRECISION`, or got it later."""
    return isinstance(layer, keras.Layer) and layer.dtype_policy is FULL_PRECISION
