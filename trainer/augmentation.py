"""Augmentation as a Keras model. It exists in training only: never in stored examples, never in the served graph."""

import keras


def augmentation(seed: int) -> keras.Model:
    """Random geometry and tone for float32 images (batch, size, size, 3) in 0 to 255; the result keeps the range.

    A crack has no up or down, so every flip and turn is as good as the photograph. Tone changes stand for other
    cameras and light.
    """
    return keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal_and_vertical", seed=seed),
            keras.layers.RandomRotation(0.5, fill_mode="reflect", seed=seed + 1),
            keras.layers.RandomZoom((-0.2, 0.1), fill_mode="reflect", seed=seed + 2),
            keras.layers.RandomBrightness(0.2, value_range=(0, 255), seed=seed + 3),
            keras.layers.RandomContrast(0.3, value_range=(0, 255), seed=seed + 4),
        ],
        name="augmentation",
    )
