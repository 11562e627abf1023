"""From a released model's network to OpenVINO's form, in float32 and in 8-bit integers, and running either."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from crackgate.model.inference_requests import import_openvino, openvino_core
from serving.export.errors import ConversionError
from serving.export.interface import Files, Run, named_function, read_outputs

_NETWORK, _WEIGHTS = ".xml", ".bin"


def convert(loaded: Any, image_size: int) -> Files:
    """Converts a SavedModel's network as it is, in float32, for any number of images of `image_size`.

    Raises:
        ConversionError: It has an operation that OpenVINO has not.
    """
    return _save(_convert(loaded, image_size, with_unfamiliarity=True))


def quantise(loaded: Any, image_size: int, images: np.ndarray) -> Files:
    """Converts convolutions and products to 8-bit integers by NNCF, after training.

    Args:
        loaded: As for `convert`.
        image_size: Likewise.
        images: float32 (images, image_size, image_size, 3) in 0 to 255, like those to come: they set the ranges of all
            values.

    Raises:
        ConversionError: NNCF cannot do that.
    """
    network = _convert(loaded, image_size, with_unfamiliarity=False)
    import_openvino()
    import nncf

    try:
        quantised = nncf.quantize(
            network, nncf.Dataset([image[np.newaxis] for image in images]), subset_size=len(images)
        )
    # NNCF raises many types.
    except Exception as error:
        raise ConversionError(f"NNCF cannot quantise this network: {error}") from error
    return _save(quantised)


def load(files: Files) -> Run:
    """Makes what `convert` or `quantise` gave ready to run; what is no integer is computed in float32."""
    network = openvino_core().read_model(files[_NETWORK], files[_WEIGHTS])
    # Without the first hint, OpenVINO rounds to bfloat16 on CPUs that have it.
    hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    run = openvino_core().compile_model(network, "CPU", hints)
    return lambda pixels: read_outputs({key.any_name: np.array(value) for key, value in run(pixels).items()})


def _convert(loaded: Any, image_size: int, with_unfamiliarity: bool) -> Any:
    function = named_function(loaded, image_size, None, with_unfamiliarity).get_concrete_function()
    try:
        network = import_openvino().convert_model(function)
    # OpenVINO raises many types.
    except Exception as error:
        raise ConversionError(f"OpenVINO cannot take this network: {error}") from error
    for output, name in zip(network.outputs, function.structured_outputs, strict=True):
        output.get_tensor().set_names({name})
    return network


def _save(network: Any) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"network{_NETWORK}"
        import_openvino().save_model(network, str(file), compress_to_fp16=False)
        return {suffix: file.with_suffix(suffix).read_bytes() for suffix in (_NETWORK, _WEIGHTS)}
