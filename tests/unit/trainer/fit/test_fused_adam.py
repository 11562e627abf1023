"""Adam in one operation changes the weights as Keras' own does."""

import keras
import numpy as np

from trainer.fit.fused_adam import FusedAdam


def test_the_weights_and_moments_are_those_of_keras_adam() -> None:
    rng = np.random.default_rng(0)
    gradients = rng.normal(0, 1, (5, 3, 4)).astype(np.float32) * [[[1e-6], [1e-2], [1e2]]]
    states = []
    for optimizer_class in (keras.optimizers.Adam, FusedAdam):
        rate = keras.optimizers.schedules.CosineDecay(0.0, 10, warmup_target=1e-2, warmup_steps=2)
        optimizer = optimizer_class(rate)
        variable = keras.Variable(np.ones((3, 4), np.float32))
        optimizer.build([variable])
        for gradient in gradients:
            optimizer.apply_gradients([(keras.ops.cast(gradient, "float32"), variable)])
        states.append([variable.numpy(), *(state.numpy() for state in optimizer.variables)])
    assert (states[0][0] != 1).all()
    for expected, state in zip(*states, strict=True):
        np.testing.assert_allclose(state, expected, rtol=1e-4)
