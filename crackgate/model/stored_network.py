"""The network that a release stores beside its SavedModel, in OpenVINO's form: it answers without TensorFlow."""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from crackgate.contracts.model_files import NETWORK_CHECK_FILE, NETWORK_FILE, NETWORK_FILES
from crackgate.model.inference_requests import import_openvino, openvino_core
from crackgate.model.network import OpenVinoNetwork, check_agreement
from crackgate.model.outputs import Outputs, as_outputs, join_outputs

log = logging.getLogger("crackgate")

# How far a score of the stored network may lie from the SavedModel's when the model is exported and checked.
STORED_TOLERANCE = 1e-6


def convert_network(function: Any, image_size: int) -> Any:
    """Converts a concrete function, a SavedModel's `network_function`, to an `openvino.Model` for one image.

    Raises many types where OpenVINO cannot convert it.
    """
    network = import_openvino().convert_model(function)
    network.reshape([1, image_size, image_size, 3])
    return network


def write_network(function: Any, pixels: np.ndarray, folder: Path) -> bool:
    """Writes the files of `NETWORK_FILES` into a SavedModel's folder, if OpenVINO can convert the network.

    Args:
        function: The concrete function from float32 (images, size, size, 3) in 0 to 255 to scores, and unfamiliarity.
        pixels: Photographs, uint8 (images, size, size, 3), two or more: both forms have to give them the same outputs.
        folder: The SavedModel's.

    Returns:
        Whether it wrote them; the log says why not.
    """
    with tempfile.TemporaryDirectory() as temporary:
        try:
            staged = Path(temporary)
            (staged / NETWORK_FILE).parent.mkdir()
            network = convert_network(function, pixels.shape[1])
            import_openvino().save_model(network, str(staged / NETWORK_FILE), compress_to_fp16=False)
            expected = join_outputs([_run(function, pixels[row : row + 1]) for row in range(len(pixels))])
            known = {name: values for name, values in expected._asdict().items() if values is not None}
            np.savez(staged / NETWORK_CHECK_FILE, pixels=pixels, **known)
            off = check_agreement(_read(staged), pixels.astype(np.float32), expected, STORED_TOLERANCE)
        # OpenVINO may be missing, or unable to convert the network.
        except Exception as error:
            log.info("the model is stored for TensorFlow alone, which starts slowly: OpenVINO cannot run it: %s", error)
            return False
        for name in NETWORK_FILES:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(staged / name, folder / name)
    log.info("the model is stored for OpenVINO, too; its scores differ from TensorFlow's by %.1g at most", off)
    return True


def has_network(folder: Path) -> bool:
    """Whether a version has the files; releases of crackgate 0.1.0 have none."""
    return (folder / NETWORK_FILE).exists()


def read_network(folder: Path) -> OpenVinoNetwork:
    """Reads and compiles a version's network, and compares it with the stored outputs of the SavedModel.

    Raises many types where OpenVINO cannot read it, or gives other outputs on this machine.
    """
    network = _read(folder)
    with np.load(folder / NETWORK_CHECK_FILE, allow_pickle=False) as check:
        expected = Outputs(*(check[name] for name in Outputs._fields if name in check))
        off = check_agreement(network, check["pixels"].astype(np.float32), expected)
    log.info("the model runs in OpenVINO; its scores differ from TensorFlow's by %.1g at most", off)
    return network


def _read(folder: Path) -> OpenVinoNetwork:
    return OpenVinoNetwork(openvino_core().read_model(str(folder / NETWORK_FILE)))


def _run(function: Any, pixels: np.ndarray) -> Outputs:
    import tensorflow as tf

    # A GPU may round to fewer bits.
    with tf.device("/CPU:0"):
        return as_outputs(function(tf.constant(pixels, tf.float32)))
