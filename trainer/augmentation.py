"""Augmentation as a Keras model. It exists in training only: never in stored examples, never in the served graph."""

import keras

from trainer.geometry import RandomGeometry


def augmentation(seed: int) -> keras.Model:
    """Random geometry and tone for float32 images (batch, size, size, 3) in 0 to 255; the result keeps the range.

    A crack has no up or down, so every flip and turn is as good as the photograph. Tone changes stand for other
    cameras and light.
    """
    return keras.Sequential(
        [
            RandomGeometry(zoom_in=0.2, zoom_out=0.1, seed=seed),
            keras.layers.RandomBrightness(0.2, value_range=(0, 255), seed=seed + 3),
            keras.layers.RandomContrast(0.3, value_range=(0, 255), seed=seed + 4),
        ],
        name="augmentation",
    )
