"""Networks whose BatchNorm has statistics like those of a training."""

import keras
import numpy as np


def with_disturbed_norms(model: keras.Model) -> keras.Model:
    """Gives every variable of BatchNorm a value of its own, 0.5 to 1.5."""
    rng = np.random.default_rng(1)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable in layer.weights:
                variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model
