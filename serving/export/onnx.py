"""From a released model's network to ONNX, in float32, and running it."""

from typing import Any

from serving.export.errors import ConversionError
from serving.export.interface import PIXELS, Files, Run, named_function, read_outputs

_SUFFIX = ".onnx"
# Runtimes of 2022 and later have it.
_OPSET = 17


def convert(loaded: Any, image_size: int) -> Files:
    """Converts a SavedModel's network as it is, in float32, for any number of images of `image_size`.

    Raises:
        ConversionError: It has an operation that ONNX has not.
    """
    import onnxruntime
    import tf2onnx

    network = named_function(loaded, image_size, None, with_unfamiliarity=True)
    try:
        model, _ = tf2onnx.convert.from_function(network, network.input_signature, opset=_OPSET)
        content: bytes = model.SerializeToString()
        # The converter leaves what it does not know in the file; the runtime refuses it.
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    # Both raise many types.
    except Exception as error:
        raise ConversionError(f"ONNX Runtime cannot take this network: {error}") from error
    return {_SUFFIX: content}


def load(files: Files) -> Run:
    """Makes what `convert` gave ready to run."""
    import onnxruntime

    session = onnxruntime.InferenceSession(files[_SUFFIX], providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda pixels: read_outputs(dict(zip(names, session.run(names, {PIXELS: pixels}), strict=True)))
