"""Backbones by name. Each takes RGB in 0 to 255 and normalises its input itself."""

import logging
import math
from pathlib import Path

import keras
import numpy as np

from crackgate.config.backbone_names import (
    CENTRED_BGR,
    EFFICIENTNET_LITE0,
    EFFICIENTNET_LITES,
    STANDARDISED,
    SYMMETRIC,
    check_backbone_name,
)
from crackgate.own_code import is_own
from trainer.network.efficientnet_lite import efficientnet_lite, pretrained_weights_file
from trainer.network.folded_backbone import fold_batch_norm
from trainer.network.graph import read_calls
from trainer.network.own_backbone import own_backbone

log = logging.getLogger("crackgate")

# Share of the layers by which a cut may lie below the highest possible cut.
_NEAR = 0.05

# Pixels of the image per pixel of the feature map.
TRUNK_STRIDE = 32


def build_backbone(name: str, image_size: int, weights: str) -> keras.Model:
    """Builds a backbone: from float32 (batch, image_size, image_size, 3) in 0 to 255 to a feature map.

    `name` is one of `BACKBONES`, or "package.module:function" of the user's own. `weights` is "imagenet", "none" or a
    file's path. ValueError says which name, weights or model cannot be used, and why.
    BatchNorm after a convolution is folded into it; any other is frozen.
    """
    try:
        check_backbone_name(name)
    except ValueError as error:
        raise ValueError(f"train.backbone: received {name!r}: {error}") from None
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise ValueError(f"train.weights: received {weights!r}, allowed are 'imagenet', 'none' or an existing file")
    if is_own(name):
        return fold_batch_norm(own_backbone(name, image_size, weights))
    if name in EFFICIENTNET_LITES:
        return fold_batch_norm(efficientnet_lite(name, image_size, _lite_weights(name, weights)))
    return fold_batch_norm(_keras_application(name, image_size, weights))


def _lite_weights(name: str, weights: str) -> Path | None:
    if weights == "none":
        return None
    if weights != "imagenet":
        return Path(weights)
    try:
        return pretrained_weights_file(name)
    except FileNotFoundError as error:
        raise ValueError(f"train.backbone: cannot load the weights of {name!r}: {error}") from error


def _keras_application(name: str, image_size: int, weights: str) -> keras.Model:
    inputs = keras.Input((image_size, image_size, 3))
    pixels = _as_expected(name, inputs)
    try:
        model = getattr(keras.applications, name)(
            input_tensor=pixels, include_top=False, weights=None if weights == "none" else weights
        )
    except Exception as error:
        raise ValueError(
            f"train.backbone: {name!r} cannot be built for train.image_size = {image_size} with train.weights = "
            f"{weights!r}: {error}.{_NO_NETWORK if 'URL fetch failure' in str(error) else ''}"
        ) from error
    if weights not in ("imagenet", "none"):
        _normalise_as_imagenet(model)
    # The application's own input is a list of one tensor, and Keras warns when such a model gets a tensor.
    return keras.Model(model.inputs[0], model.output, name=model.name)


_NO_NETWORK = (
    " Keras downloads ImageNet weights: where there is no network, give the path of a downloaded file, or use "
    f"train.backbone = {EFFICIENTNET_LITE0!r}"
)


def _as_expected(name: str, pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Pixels in 0 to 255 as an application expects them: what its `preprocess_input` does, in layers."""
    if name in SYMMETRIC:
        return keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    if name in STANDARDISED:
        means, deviations = _IMAGENET_MEANS, _IMAGENET_DEVIATIONS
        scale = [1 / deviation for deviation in deviations]
        offset = [-mean / deviation for mean, deviation in zip(means, deviations, strict=True)]
        return keras.layers.Rescaling(scale, offset=offset)(pixels)
    if name in CENTRED_BGR:
        bgr = keras.ops.flip(pixels, axis=-1)
        return keras.layers.Rescaling(1.0, offset=[-mean for mean in reversed(_CAFFE_MEANS)])(bgr)
    return pixels


# Red, green, blue, in 0 to 255: keras.applications.imagenet_utils, modes "torch" and "caffe".
_IMAGENET_MEANS = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_DEVIATIONS = (0.229 * 255, 0.224 * 255, 0.225 * 255)
_CAFFE_MEANS = (123.68, 116.779, 103.939)


def _normalise_as_imagenet(model: keras.Model) -> None:
    """Keras' ImageNet weights of EfficientNet hold deviations as variances, which it corrects for "imagenet" only."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            mean, variance, count = layer.get_weights()
            if np.allclose([mean, variance], np.divide([_IMAGENET_MEANS, _IMAGENET_DEVIATIONS], 255), atol=1e-3):
                layer.set_weights([mean, variance**2, count])
                layer.finalize_state()


def split_at_top(backbone: keras.Model, share: float) -> tuple[keras.Model, keras.Model]:
    """Cuts a functional model where a single tensor passes: `upper(lower(x))` is `backbone(x)`, with shared layers.

    `share` is the least share of the layers that the upper part gets, where a cut allows it.
    """
    operations, cuts = backbone.operations, find_cuts(backbone)
    enough = [index for index in cuts if len(operations) - 1 - index >= share * len(operations)] or cuts[:1]
    # The tensor is stored for every view.
    cut = narrowest_near_top(backbone, enough)
    return keras.Model(backbone.input, cut, name="lower"), keras.Model(cut, backbone.output, name="upper")


def narrowest_near_top(backbone: keras.Model, cuts: list[int]) -> keras.KerasTensor:
    """The smallest output, the highest of equals, among the cuts that lie near the highest one."""
    near = [index for index in cuts if cuts[-1] - index <= _NEAR * len(backbone.operations)]
    outputs = (backbone.operations[index].output for index in reversed(near))
    return min(outputs, key=lambda tensor: math.prod(tensor.shape[1:]))


def find_cuts(backbone: keras.Model) -> list[int]:
    """The places in `backbone.operations`, ascending, through whose output alone everything passes."""
    calls = read_calls(backbone)
    position = {name: index for index, name in enumerate(calls)}
    last_use = list(range(len(calls)))
    for name, index in position.items():
        for source in (position[source] for call in calls[name] for source in call):
            last_use[source] = max(last_use[source], index)
    # At a cut, no later operation needs an output from below it.
    return [index for index in range(1, len(calls)) if max(last_use[:index]) <= index]


def as_trunk(backbone: keras.Model) -> keras.Model | None:
    """The same layers for images of any size: (batch, H, W, 3) in 0 to 255 to (batch, ceil(H / 32), ceil(W / 32), F).

    The first of several outputs is that map. None if the backbone takes means of the whole image on its way
    (squeeze-and-excitation), or has parts for one size.
    """
    if any(isinstance(layer, (*_LOOKS_AT_EVERYTHING, keras.Model)) for layer in backbone.layers):
        return None
    try:
        trunk = keras.models.clone_model(
            backbone, input_tensors=keras.Input((None, None, 3)), clone_function=lambda layer: layer
        )
        shapes = [trunk.compute_output_shape((1, *size, 3)) for size in _TRIED_SIZES]
        reached = [(shape[0] if isinstance(trunk.output, list) else shape)[1:3] for shape in shapes]
    # Errors of many types: a model of the user's own may hold any layer.
    except Exception as error:
        log.info("the backbone takes images of %s alone: %s", backbone.input_shape[1:3], error)
        return None
    expected = [tuple(-(-side // TRUNK_STRIDE) for side in size) for size in _TRIED_SIZES]
    return trunk if reached == expected else None


_LOOKS_AT_EVERYTHING = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D, keras.layers.Flatten)
# Every remainder that a stride of 2, taken five times, can leave.
_TRIED_SIZES = [(64 + rest, 95 - rest) for rest in range(32)]
