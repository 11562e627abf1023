"""A backbone that a function of the user's own builds."""

import logging
from collections.abc import Callable
from typing import Any

import keras

from crackgate.own_code import OwnCodeError, call_own, not_storable
from crackgate.plural import counted
from trainer.network.precision import FULL_PRECISION

log = logging.getLogger("crackgate")

FIELD = "train.backbone"


def own_backbone(name: str, image_size: int, weights: str) -> keras.Model:
    """Calls "package.module:function" with `image_size`, and checks the backbone that it returns.

    The result is functional, from float32 (batch, image_size, image_size, 3) to (batch, height, width, channels). It
    has the function's weights, unless `weights` is a file's path. OwnCodeError says what is wrong with the model.
    """
    # Layers that ask for no precision share this object.
    unasked = keras.DTypePolicy("float32")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(unasked)
    try:
        model = call_own(FIELD, name, image_size=image_size)
    finally:
        keras.config.set_dtype_policy(before)
    _check_kind(name, model)
    _check_input(name, model, image_size)
    if weights not in ("imagenet", "none"):
        try:
            model.load_weights(weights)
        except Exception as error:
            raise OwnCodeError(f"train.weights: {weights!r} does not fit the model of {name!r}: {error}") from error
    images = keras.Input((image_size, image_size, 3))
    # Without models in the model, so that a cut can go through them.
    flat = keras.Model(images, _run(model, images), name=model.name)
    backbone = _copied(name, flat)
    _keep_precision(flat, unasked, backbone)
    _check_output(name, backbone)
    return backbone


def _run(model: keras.Model, images: keras.KerasTensor) -> keras.KerasTensor:
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs[0], model.outputs[0])

    def inlined(operation: Any) -> Callable[..., Any]:
        return (lambda values, **_: _run(operation, values)) if _is_functional(operation) else operation

    # Keras' public way, clone_model, makes a model of its own of a graph that begins within another.
    return model._run_through_graph(images, operation_fn=inlined)


def _keep_precision(source: keras.Model, unasked: keras.DTypePolicy, copy: keras.Model) -> None:
    """Marks the copies of layers that ask for float32 themselves: training in 16 bits leaves them in it."""
    layers = [layer for layer in source.layers if not isinstance(layer, keras.layers.InputLayer)]
    asking = [layer.name for layer in layers if layer.dtype_policy is not unasked and layer.dtype_policy == unasked]
    for name in asking:
        copy.get_layer(name).dtype_policy = FULL_PRECISION
    if asking:
        log.info("%s of the backbone's %d ask for float32, and train in it", counted(len(asking), "layer"), len(layers))


def _is_functional(model: Any) -> bool:
    """Whether it is a graph of layers with one input and output, which a built keras.Sequential is, too."""
    is_graph = isinstance(model, keras.Function) or (isinstance(model, keras.Sequential) and model.built)
    return is_graph and len(model.inputs) == len(model.outputs) == 1


def _check_kind(name: str, model: object) -> None:
    if not isinstance(model, keras.Model):
        raise _refusal(name, f"a {type(model).__name__}", "a keras.Model")
    if isinstance(model, keras.Sequential) and not model.built:
        raise _refusal(name, "a keras.Sequential without an input", "one that begins with keras.Input")
    if not isinstance(model, keras.Function | keras.Sequential):
        raise _refusal(name, f"a {type(model).__name__}, a subclass of keras.Model", _FUNCTIONAL)
    for what, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(tensors) != 1:
            raise _refusal(name, f"a model with {len(tensors)} {what}", f"one with a single one of its {what}")
    if not model.weights:
        raise _refusal(name, "a model without weights", "one that has weights, best pretrained ones")


_FUNCTIONAL = "a functional model: keras.Model(inputs, outputs), made of layers"


def _check_input(name: str, model: keras.Model, image_size: int) -> None:
    shape, wanted = model.inputs[0].shape, (None, image_size, image_size, 3)
    fits = len(shape) == 4 and all(have in (None, want) for have, want in zip(shape, wanted, strict=True))
    if not fits:
        raise _refusal(
            name, f"a model for inputs {shape}", f"one for {wanted}: train.image_size = {image_size}, channels last"
        )
    if not keras.backend.is_float_dtype(model.inputs[0].dtype):
        raise _refusal(name, f"a model for {model.inputs[0].dtype} inputs", "one for float32, in 0 to 255")


def _check_output(name: str, model: keras.Model) -> None:
    shape = model.output_shape
    if len(shape) != 4 or None in shape[1:]:
        raise _refusal(
            name,
            f"a model with outputs {shape}",
            "one that ends with its feature map, (batch, height, width, channels): leave out pooling and dense layers",
        )


def _copied(name: str, model: keras.Model) -> keras.Model:
    """New layers with the same weights, each called once: the trained model is stored, and loaded, in the same way."""
    try:
        copy = keras.Model.from_config(model.get_config())
    except Exception as error:
        raise not_storable(FIELD, name, error) from error
    # Layers are found by name when BatchNormalization is folded into them, and asked for float32.
    kept = {layer.name for layer in copy.layers}
    if lost := [layer for layer in model.layers if layer.name not in kept]:
        raise _refusal(
            name,
            f"a model whose layer {lost[0].name!r} would lose its name when it is stored",
            f"a class {type(lost[0]).__name__} with get_config, which adds its own values to super().get_config()",
        )
    copy.set_weights(model.get_weights())
    return copy


def _refusal(name: str, received: str, allowed: str) -> OwnCodeError:
    return OwnCodeError(f"{FIELD}: {name!r} returned {received}; allowed is {allowed}")
