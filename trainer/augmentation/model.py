"""Augmentation as a Keras model, for training only: neither stored examples nor the served graph hold it."""

import keras

from crackgate.config.train import TrainOptions
from trainer.augmentation.camera import RandomCamera, RandomCompression
from trainer.augmentation.geometry import RandomGeometry
from trainer.augmentation.own_augmentation import own_augmentation
from trainer.augmentation.surface import RandomLight, RandomSurface


def configured_augmentation(options: TrainOptions, seed: int) -> keras.Model:
    """The augmentation that the options ask for: `build_augmentation`'s, or one of the user's own."""
    if options.augmentation:
        return own_augmentation(options.augmentation, options.image_size, seed)
    return build_augmentation(seed, options.other_surfaces)


def build_augmentation(seed: int, other_surfaces: bool = True) -> keras.Model:
    """Random geometry, surfaces, light and cameras for float32 images (batch, size, size, 3) in 0 to 255.

    The result keeps shape, type and range. `seed` decides every draw; a new model repeats the draws.
    `other_surfaces` draws textures and masonry over the surface, whatever the label.
    """
    # Zoomed out, a crack is as thin as another camera's; a third of its width is 1 or 2 pixels.
    geometry = RandomGeometry(zoom_in=0.4, zoom_out=2.0, seed=seed)
    surface = [RandomSurface(seed=seed + 1)] if other_surfaces else []
    camera = [RandomCamera(seed=seed + 3), RandomCompression(seed=seed + 4)]
    return keras.Sequential([geometry, *surface, RandomLight(seed=seed + 2), *camera], name="augmentation")
