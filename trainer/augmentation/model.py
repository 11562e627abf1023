"""Augmentation as a Keras model. It exists in training only: never in stored examples, never in the served graph."""

import keras

from trainer.augmentation.camera import RandomCamera, RandomCompression
from trainer.augmentation.geometry import RandomGeometry
from trainer.augmentation.surface import RandomLight, RandomSurface


def build_augmentation(seed: int, other_surfaces: bool = True) -> keras.Model:
    """Other places, surfaces, light and cameras for float32 images (batch, size, size, 3) in 0 to 255.

    The result keeps shape, type and range. Nothing looks at the label. In the order of nature: the surface has a place
    and a texture, light falls on it, a camera takes it.

    Args:
        seed: Decides every draw; the same calls on a new model give the same pictures.
        other_surfaces: Whether to draw textures and masonry over the surface.
    """
    # A crack has no up or down. Far out it becomes as thin as another camera's.
    place = RandomGeometry(zoom_in=0.3, zoom_out=1.0, seed=seed)
    surface = [RandomSurface(seed=seed + 1)] if other_surfaces else []
    camera = [RandomCamera(seed=seed + 3), RandomCompression(seed=seed + 4)]
    return keras.Sequential([place, *surface, RandomLight(seed=seed + 2), *camera], name="augmentation")
