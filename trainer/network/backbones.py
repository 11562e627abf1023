"""Backbones by name. Each takes RGB in 0 to 255 and normalises its input itself."""

import math
from pathlib import Path

import keras

from crackgate.config.backbone_names import BACKBONES, EFFICIENTNET_LITE0, EFFICIENTNET_LITES, SYMMETRIC
from trainer.network.efficientnet_lite import efficientnet_lite, pretrained_weights_file

# Share of the layers by which a cut may lie below the highest possible cut.
_NEAR = 0.05

# Pixels of the image per pixel of the feature map.
TRUNK_STRIDE = 32


def build_backbone(name: str, image_size: int, weights: str) -> keras.Model:
    """Builds one of `BACKBONES`: from float32 (batch, image_size, image_size, 3) in 0 to 255 to a feature map.

    `weights` is "imagenet", "none" or a file's path. An unknown name or unavailable weights raise ValueError.
    """
    if name not in BACKBONES:
        raise ValueError(f"train.backbone: received {name!r}, allowed are {', '.join(BACKBONES)}")
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise ValueError(f"train.weights: received {weights!r}, allowed are 'imagenet', 'none' or an existing file")
    if name in EFFICIENTNET_LITES:
        return efficientnet_lite(name, image_size, _lite_weights(name, weights))
    return _keras_application(name, image_size, weights)


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
    pixels = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs) if name in SYMMETRIC else inputs
    try:
        model = getattr(keras.applications, name)(
            input_tensor=pixels, include_top=False, weights=None if weights == "none" else weights
        )
    except Exception as error:
        raise ValueError(
            f"train.weights: cannot load {weights!r} for {name} ({error}). Keras downloads ImageNet weights: where "
            f"there is no network, give the path of a downloaded file, or use train.backbone = {EFFICIENTNET_LITE0!r}"
        ) from error
    # The application's own input is a list of one tensor, and Keras warns when such a model gets a tensor.
    return keras.Model(inputs, model.output, name=model.name)


def split_at_top(backbone: keras.Model, share: float) -> tuple[keras.Model, keras.Model]:
    """Cuts a functional model where a single tensor passes: `upper(lower(x))` is `backbone(x)`, with shared layers.

    `share` is the least share of the layers that the upper part gets, where a cut allows it.
    """
    operations = backbone.operations
    position = {id(operation): index for index, operation in enumerate(operations)}
    last_use = list(range(len(operations)))
    for index, operation in enumerate(operations):
        for node in operation._inbound_nodes:
            for parent in node.parent_nodes:
                if (source := position.get(id(parent.operation))) is not None:
                    last_use[source] = max(last_use[source], index)
    # At a cut, no later operation needs an output from below it.
    cuts = [index for index in range(1, len(operations)) if max(last_use[:index]) <= index]
    enough = [index for index in cuts if len(operations) - 1 - index >= share * len(operations)] or cuts[:1]
    # Among cuts that lie near each other, the smallest tensor: it is stored for every view.
    near = [index for index in enough if enough[-1] - index <= _NEAR * len(operations)]
    cut = min((operations[index].output for index in reversed(near)), key=lambda tensor: math.prod(tensor.shape[1:]))
    return keras.Model(backbone.input, cut, name="lower"), keras.Model(cut, backbone.output, name="upper")


def as_trunk(backbone: keras.Model) -> keras.Model | None:
    """The same layers for images of any size: (batch, H, W, 3) in 0 to 255 to (batch, ceil(H / 32), ceil(W / 32), F).

    None if the backbone takes means of the whole image on its way (squeeze-and-excitation), or has parts for one size.
    """
    if any(isinstance(layer, (*_LOOKS_AT_EVERYTHING, keras.Model)) for layer in backbone.layers):
        return None
    trunk = keras.models.clone_model(
        backbone, input_tensors=keras.Input((None, None, 3)), clone_function=lambda layer: layer
    )
    for height, width in _TRIED_SIZES:
        expected = tuple(-(-side // TRUNK_STRIDE) for side in (height, width))
        if trunk.compute_output_shape((1, height, width, 3))[1:3] != expected:
            return None
    return trunk


_LOOKS_AT_EVERYTHING = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D, keras.layers.Flatten)
# Every remainder that a stride of 2, taken five times, can leave.
_TRIED_SIZES = [(64 + rest, 95 - rest) for rest in range(32)]
