"""An augmentation that a function of the user's own builds."""

import keras
import numpy as np

from crackgate.own_code import OwnCodeError, call_own, not_storable

FIELD = "train.augmentation"
# Rounding.
_BEYOND = 0.5


def own_augmentation(name: str, image_size: int, seed: int) -> keras.Model:
    """Calls "package.module:function" with `image_size`, and checks the augmentation that it returns.

    Called with `training=True`, it takes and gives float32 images (batch, image_size, image_size, 3) in 0 to 255.
    `seed` decides the draws of its layers, unless they have seeds of their own. OwnCodeError says what is wrong.
    """
    keras.utils.set_random_seed(seed)
    model = call_own(FIELD, name, image_size=image_size)
    if not isinstance(model, keras.Model):
        raise _refusal(name, f"a {type(model).__name__}", "a keras.Model, for example a keras.Sequential of layers")
    images = np.random.default_rng(0).uniform(0, 255, (2, image_size, image_size, 3)).astype(np.float32)
    try:
        augmented = keras.ops.convert_to_numpy(model(images, training=True))
    except Exception as error:
        raise OwnCodeError(
            f"{FIELD}: the model of {name!r} does not take images {images.shape}: {type(error).__name__}: {error}"
        ) from error
    _check_images(name, augmented, images)
    try:
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    except Exception as error:
        raise not_storable(FIELD, name, error) from error
    return model


def _check_images(name: str, augmented: np.ndarray, images: np.ndarray) -> None:
    if (augmented.shape, augmented.dtype) != (images.shape, images.dtype):
        raise _refusal(
            name,
            f"a model that makes {augmented.dtype} {augmented.shape} of images {images.shape}",
            "one that keeps their shape, in float32",
        )
    least, most = float(augmented.min()), float(augmented.max())
    # Noise from 0 to 255 that ends below 2 was scaled to 0 to 1, or to -1 to 1.
    if not (least >= -_BEYOND and 2 < most <= 255 + _BEYOND):
        raise _refusal(
            name,
            f"a model that makes values from {least:.4g} to {most:.4g} of images in 0 to 255",
            "one that keeps that range: the backbone normalises",
        )


def _refusal(name: str, received: str, allowed: str) -> OwnCodeError:
    return OwnCodeError(f"{FIELD}: {name!r} returned {received}; allowed is {allowed}")
