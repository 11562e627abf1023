"""The engines under a released model: OpenVINO where its scores agree with TensorFlow's, otherwise TensorFlow."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from crackgate.contracts import stored_example
from crackgate.contracts.card import ReleaseCard
from crackgate.contracts.engine_choice import EngineChoice
from crackgate.contracts.model_files import CARD_FILE, MODEL_VERSION_FILE, NETWORK_FILES, WARMUP_FILE
from crackgate.import_lock import import_alone
from crackgate.model.local_decoding import Decoder, LocalDecoder
from crackgate.model.network import Network, OpenVinoNetwork, check_agreement
from crackgate.model.outputs import network_function
from crackgate.model.saved_model import SavedModel
from crackgate.model.stored_network import convert_network, has_network, read_network

log = logging.getLogger("crackgate")

# Images that the engines are compared on.
_COMPARED = 8


def build_engine(folder: Path, card: ReleaseCard, saved: SavedModel, choice: EngineChoice) -> tuple[Decoder, Network]:
    """Returns the fastest decoder and network that give the answers of a version's SavedModel.

    The log says which. Raises NotAReleaseError where the stored network, the card or the number is not as it was
    released, or where the SavedModel is needed and cannot be loaded.
    """
    saved.check({*map(str, NETWORK_FILES), str(CARD_FILE), str(MODEL_VERSION_FILE)})
    if choice is EngineChoice.TENSORFLOW or _has_gpu():
        # Loaded at once: a release that cannot be used is refused before the first image.
        assert saved.loaded
        return saved, saved
    if has_network(folder):
        try:
            return LocalDecoder(card), read_network(folder)
        # OpenVINO may be missing, of another version, or wrong on this machine.
        except Exception as error:
            log.info("the stored network cannot be used here: %s", error)
    else:
        log.debug("version %r stores no network for OpenVINO: TensorFlow loads the SavedModel", folder.name)
    return saved, _convert(folder, card, saved)


def _has_gpu() -> bool:
    """Whether TensorFlow would compute on a GPU; it is not asked where no driver shows one."""
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return False
    return bool(import_alone("tensorflow").config.list_physical_devices("GPU"))


def _convert(folder: Path, card: ReleaseCard, saved: SavedModel) -> Network:
    """Converts the SavedModel's network here and now; gives the SavedModel itself where OpenVINO cannot or differs."""
    loaded = saved.loaded
    try:
        network = OpenVinoNetwork(convert_network(network_function(loaded).concrete_functions[0], card.image_size))
        pixels = _comparison_images(loaded, card.image_size, folder)
        off = check_agreement(network, pixels, saved.start(pixels)())
    # OpenVINO may be missing, or unable to convert the network.
    except Exception as error:
        log.info("the model runs in TensorFlow, which is slower: OpenVINO cannot run it: %s", error)
        return saved
    log.info("the model runs in OpenVINO; its scores differ from TensorFlow's by %.1g at most", off)
    return network


def _comparison_images(loaded: Any, image_size: int, folder: Path) -> np.ndarray:
    """Photographs of the warm-up requests, and synthetic surfaces: float32 (images, size, size, 3)."""
    import tensorflow as tf

    photographs = list(dict.fromkeys(_warmup_images(folder)))[:_COMPARED]
    random = np.random.default_rng(0)
    synthetic = []
    for grains in np.geomspace(4, image_size, _COMPARED // 2).astype(int):
        grey = random.uniform(0, 255, (grains, grains, 1)).astype(np.float32)
        synthetic.append(tf.image.resize(grey, (image_size, image_size)).numpy().repeat(3, axis=2))
    if photographs:
        synthetic.extend(loaded.decode(tf.constant(photographs))[0].numpy())
    return np.stack(synthetic)


def _warmup_images(folder: Path) -> Iterator[bytes]:
    if not (folder / WARMUP_FILE).is_file():
        return
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    for record in tf.data.TFRecordDataset(str(folder / WARMUP_FILE)).as_numpy_iterator():
        inputs = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request.inputs
        if "image_bytes" in inputs:
            yield from inputs["image_bytes"].string_val
        for example in inputs["examples"].string_val if "examples" in inputs else ():
            yield tf.train.Example.FromString(example).features.feature[stored_example.ENCODED].bytes_list.value[0]
