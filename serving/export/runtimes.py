"""The runtimes that a network can be exported for. Without heavy imports."""

import importlib.util
from dataclasses import dataclass
from enum import StrEnum


class Runtime(StrEnum):
    """Names a runtime, as `crackgate export --to` does."""

    TFLITE = "tflite"
    OPENVINO = "openvino"
    ONNX = "onnx"


@dataclass(frozen=True)
class Form:
    """What a runtime gets.

    Attributes:
        title: Its makers' name of it.
        suffixes: Of the files that hold one network, the first of which names the others.
        integers: Whether there is a file of 8-bit integers, too.
        packages: Top-level packages of the extra `export` that writing it takes.
        images: Per run; None is any number.
    """

    title: str
    suffixes: tuple[str, ...]
    integers: bool
    packages: tuple[str, ...]
    images: int | None


# ONNX gets no integers: they made ONNX Runtime slower, docs/decisions/0038.
FORMS = {
    Runtime.TFLITE: Form("TensorFlow Lite", (".tflite",), True, (), 1),
    Runtime.OPENVINO: Form("OpenVINO", (".xml", ".bin"), True, ("openvino", "nncf"), None),
    Runtime.ONNX: Form("ONNX Runtime", (".onnx",), False, ("tf2onnx", "onnxruntime"), None),
}


def missing_packages(runtime: Runtime) -> list[str]:
    """Names the packages that a form needs and this environment has not."""
    return [name for name in FORMS[runtime].packages if importlib.util.find_spec(name) is None]
