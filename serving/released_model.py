"""A released model, ready to answer: decoded as its SavedModel does, scored by the fastest engine that agrees with it.

Importing this module imports TensorFlow, which takes some seconds.
"""

import io
import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from PIL import Image

from components import features
from components.release_files import MODEL_VERSION_FILE, WARMUP_FILE
from serving.release_card import NotAReleaseError, read_card
from trainer.decision import Decision, decide
from trainer.engine import import_openvino

log = logging.getLogger("crackgate")

# Images that are decoded together: bounds the memory, whatever a caller sends.
_CHUNK = 32
# How far a score may lie from TensorFlow's.
_TOLERANCE = 1e-4
# What early releases decode, and the most that ingest takes.
_EARLY_FORMATS = ("JPEG", "PNG", "BMP")
_PIXELS = 50_000_000
# Images that the engines are compared on.
_COMPARED = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for one image, as the SavedModel's signatures give it.

    Attributes:
        label: The decision; "" where there is an error.
        probability: The calibrated score of that label, 0 to 1; 0 where there is an error.
        scores: The calibrated score of every class, in label order; they sum to 1; all 0 where there is an error.
        is_positive: Whether the positive class's score reaches the threshold, and True where there is an error or a
            score is no number; None without a positive class.
        error: Why the image could not be scored; "" where it could.
    """

    label: str
    probability: float
    scores: tuple[float, ...]
    is_positive: bool | None
    error: str


class ReleasedModel:
    """One version, loaded; any number of threads may ask it at once.

    Attributes:
        folder: Of the version.
        classes: Names in label order.
        image_size: Side of the network's square input, in pixels.
        positive_class: The class that must not be missed; None when there is none.
        threshold: The score from which on an image is positive, 0 to 1; None without a positive class.
        version: What the model calls itself: a number, or "unreleased".
        engine: "OpenVINO" or "TensorFlow".
        loaded: The SavedModel, with its signatures.
    """

    def __init__(self, folder: Path, loaded: Any, card: dict[str, Any]):
        """See `load_released_model`."""
        self.folder, self.loaded = folder, loaded
        self.classes: list[str] = card["classes"]
        self.image_size: int = card["image_size"]
        self.positive_class: str | None = card.get("positive_class")
        self.threshold: float | None = card.get("threshold")
        self.version = _read_version(folder)
        self._scorer: _Scorer
        if hasattr(loaded, "decode") and hasattr(loaded, "score_pixels"):
            decision = None
            if self.positive_class is not None and self.threshold is not None:
                decision = Decision(self.classes.index(self.positive_class), self.threshold)
            self._scorer = _Parts(loaded, self.classes, self.image_size, decision, folder)
        else:
            self._scorer = _Signature(loaded, self.classes)
        self.engine = self._scorer.engine

    def answer(self, images: Sequence[bytes]) -> list[Answer]:
        """Scores encoded images: the bytes of JPEG, PNG or BMP files, any number of them.

        Returns:
            One answer for each image, in their order.
        """
        chunks = (images[first : first + _CHUNK] for first in range(0, len(images), _CHUNK))
        return list(self._scorer.answer(chunks))

    def failure(self, error: str) -> Answer:
        """The answer for an image that nobody may or can score.

        Args:
            error: Why.
        """
        return _failed(error, len(self.classes), None if self.positive_class is None else True)


def load_released_model(folder: Path) -> ReleasedModel:
    """Loads a version that was released, now or by an earlier crackgate.

    Args:
        folder: Of one version: `serving/<version>/`.

    Raises:
        NotAReleaseError: It is none.
    """
    if not (folder / "saved_model.pb").is_file():
        raise NotAReleaseError(
            f"{str(folder)!r} is no released version: it has no saved_model.pb; give the folder of one version, "
            "such as workspace/serving/1795374861"
        )
    return ReleasedModel(folder, _load(folder), read_card(folder))


def _load(folder: Path) -> Any:
    try:
        loaded = tf.saved_model.load(str(folder))
    # Of many types: a missing file, a damaged one, an operation that this TensorFlow has not.
    except Exception as error:
        raise NotAReleaseError(f"the SavedModel in {str(folder)!r} cannot be loaded: {error}") from error
    if "predict_images" not in loaded.signatures:
        found = ", ".join(map(repr, loaded.signatures)) or "none"
        raise NotAReleaseError(
            f"the SavedModel in {str(folder)!r} takes no images: it has to have the signature 'predict_images', "
            f"it has {found}"
        )
    return loaded


def _read_version(folder: Path) -> str:
    try:
        return (folder / MODEL_VERSION_FILE).read_text(encoding="utf-8").strip()
    # Releases of earlier versions say it by their folder's name only.
    except FileNotFoundError:
        return folder.resolve().name if folder.resolve().name.isdecimal() else "unreleased"


class _Scorer(Protocol):
    engine: str

    def answer(self, chunks: Iterator[Sequence[bytes]]) -> Iterator[Answer]: ...


class _Signature:
    """Asks the byte signature: the way of early releases, which have nothing else and no guard of their own."""

    engine = "TensorFlow"

    def __init__(self, loaded: Any, classes: list[str]):
        self._signature = loaded.signatures["predict_images"]
        self._classes = classes

    def answer(self, chunks: Iterator[Sequence[bytes]]) -> Iterator[Answer]:
        for chunk in chunks:
            faults = [_find_fault(image) for image in chunk]
            sound = [image for image, fault in zip(chunk, faults, strict=True) if not fault]
            try:
                answers = self._ask(sound)
            # One broken image fails the whole batch of an early release: which one is it?
            except tf.errors.InvalidArgumentError:
                answers = [self._ask_alone(image) for image in sound]
            following = iter(answers)
            for fault in faults:
                yield self._failure(fault) if fault else next(following)

    def _ask_alone(self, image: bytes) -> Answer:
        try:
            return self._ask([image])[0]
        except tf.errors.InvalidArgumentError:
            return self._failure("damaged: the image cannot be decoded")

    def _failure(self, error: str) -> Answer:
        return _failed(error, len(self._classes), True if "is_positive" in self._signature.structured_outputs else None)

    def _ask(self, images: Sequence[bytes]) -> list[Answer]:
        if not images:
            return []
        outputs = {name: value.numpy() for name, value in self._signature(image_bytes=tf.constant(images)).items()}
        return [
            Answer(
                label=outputs["label"][row].decode(),
                probability=float(outputs["probability"][row]),
                scores=tuple(outputs["scores"][row].tolist()),
                is_positive=bool(outputs["is_positive"][row]) if "is_positive" in outputs else None,
                error="",
            )
            for row in range(len(images))
        ]


class _Parts:
    """Decodes through the SavedModel and scores through an engine; while one chunk is scored the next is decoded."""

    def __init__(self, loaded: Any, classes: list[str], image_size: int, decision: Decision | None, folder: Path):
        self._loaded, self._classes, self._decision = loaded, classes, decision
        self._network = _build_network(loaded, image_size, folder)
        self.engine = self._network.engine

    def answer(self, chunks: Iterator[Sequence[bytes]]) -> Iterator[Answer]:
        started = None
        for chunk in chunks:
            pixels, errors = self._loaded.decode(tf.constant(chunk))
            pixels = pixels.numpy()
            following = (pixels, errors.numpy(), self._network.start(pixels))
            if started is not None:
                yield from self._finish(*started)
            started = following
        if started is not None:
            yield from self._finish(*started)

    def _finish(self, pixels: np.ndarray, errors: np.ndarray, running: "_Running") -> Iterator[Answer]:
        scores = running()
        # Where the engine's rounding could turn the decision, TensorFlow decides: it was TensorFlow that was judged.
        doubtful = _doubtful(scores, self._decision)
        if self.engine != "TensorFlow" and doubtful.any():
            scores[doubtful] = self._loaded.score_pixels(tf.constant(pixels[doubtful])).numpy()
        labels = decide(scores, self._decision)
        positives = None if self._decision is None else self._decision.is_positive(scores)
        for row, error in enumerate(errors):
            if error:
                yield _failed(error.decode(), len(self._classes), None if positives is None else True)
                continue
            yield Answer(
                label=self._classes[labels[row]],
                probability=float(scores[row, labels[row]]),
                scores=tuple(scores[row].tolist()),
                is_positive=None if positives is None else bool(positives[row]),
                error="",
            )


def _find_fault(image: bytes) -> str:
    """Why an early release must not be given an image, from its header, before any pixel takes memory; or ""."""
    with warnings.catch_warnings():
        # Pillow warns about bombs; the limit here decides.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(image), formats=_EARLY_FORMATS) as opened:
                width, height = opened.size
        except Image.DecompressionBombError as error:
            return f"too large: {error}"
        # Of many types: a header may be broken in any way.
        except Exception:
            return "not a JPEG, PNG or BMP image"
    return f"too large: {width * height} pixels, allowed are {_PIXELS}" if width * height > _PIXELS else ""


def _failed(error: str, classes: int, is_positive: bool | None) -> Answer:
    return Answer(label="", probability=0.0, scores=(0.0,) * classes, is_positive=is_positive, error=error)


def _doubtful(scores: np.ndarray, decision: Decision | None) -> np.ndarray:
    """Rows whose label may be another within the tolerance: bool (images,)."""
    others = scores
    doubtful = np.zeros(len(scores), bool)
    if decision is not None:
        doubtful = np.abs(scores[:, decision.label] - np.float32(decision.threshold)) <= _TOLERANCE
        others = np.delete(scores, decision.label, axis=1)
    if others.shape[1] > 1:
        best = np.partition(others, -2, axis=1)
        doubtful |= best[:, -1] - best[:, -2] <= 2 * _TOLERANCE
    return doubtful


class _Running(Protocol):
    def __call__(self) -> np.ndarray:
        """Waits for the scores: float32 (images, classes)."""


class _Network(Protocol):
    engine: str

    def start(self, pixels: np.ndarray) -> _Running:
        """Begins to score float32 (images, size, size, 3) in 0 to 255, which may not be changed meanwhile."""


def _build_network(loaded: Any, image_size: int, folder: Path) -> _Network:
    reference = _TensorFlowNetwork(loaded)
    if tf.config.list_physical_devices("GPU"):
        return reference
    try:
        network = _OpenVinoNetwork(loaded, image_size)
        pixels = _comparison_images(loaded, image_size, folder)
        # One alone goes another way than several.
        scores = np.concatenate([network.start(pixels)(), network.start(pixels[:1])()])
        expected = reference.start(np.concatenate([pixels, pixels[:1]]))()
        off = float(np.abs(scores - expected).max())
        if not off <= _TOLERANCE:
            raise ValueError(f"its scores differ from TensorFlow's by {off:.1g}, {_TOLERANCE:g} is allowed")
    # Whatever the network has that OpenVINO, if it is there at all, cannot convert.
    except Exception as error:
        log.info("the model runs in TensorFlow, slower, for OpenVINO cannot run it: %s", error)
        return reference
    log.info("the model runs in OpenVINO; its scores differ from TensorFlow's by %.1g at most", off)
    return network


def _comparison_images(loaded: Any, image_size: int, folder: Path) -> np.ndarray:
    """Photographs of the warm-up requests, and surfaces made up: float32 (images, size, size, 3)."""
    photographs = list(dict.fromkeys(_warmup_images(folder)))[:_COMPARED]
    random = np.random.default_rng(0)
    made_up = []
    for grains in np.geomspace(4, image_size, _COMPARED // 2).astype(int):
        grey = random.uniform(0, 255, (grains, grains, 1)).astype(np.float32)
        made_up.append(tf.image.resize(grey, (image_size, image_size)).numpy().repeat(3, axis=2))
    if photographs:
        made_up.extend(loaded.decode(tf.constant(photographs))[0].numpy())
    return np.stack(made_up)


def _warmup_images(folder: Path) -> Iterator[bytes]:
    if not (folder / WARMUP_FILE).is_file():
        return
    from tensorflow_serving.apis import prediction_log_pb2

    for record in tf.data.TFRecordDataset(str(folder / WARMUP_FILE)).as_numpy_iterator():
        inputs = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request.inputs
        if "image_bytes" in inputs:
            yield from inputs["image_bytes"].string_val
        for example in inputs["examples"].string_val if "examples" in inputs else ():
            yield tf.train.Example.FromString(example).features.feature[features.ENCODED].bytes_list.value[0]


class _TensorFlowNetwork:
    engine = "TensorFlow"

    def __init__(self, loaded: Any):
        self._score = loaded.score_pixels

    def start(self, pixels: np.ndarray) -> _Running:
        scores = self._score(tf.constant(pixels))
        return lambda: scores.numpy().copy()


class _OpenVinoNetwork:
    """Several images: one request of one image on each core. One image alone: all cores work on it."""

    engine = "OpenVINO"

    def __init__(self, loaded: Any, image_size: int):
        """Converts and compiles the network.

        Raises:
            Exception: OpenVINO is not installed, or cannot convert it; of many types.
        """
        openvino = import_openvino()
        model = openvino.convert_model(loaded.score_pixels.concrete_functions[0])
        model.reshape([1, image_size, image_size, 3])
        core = openvino.Core()

        def compiled(hint: str) -> Any:
            hints = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32"}
            return core.compile_model(model, "CPU", hints)

        several = compiled("THROUGHPUT")
        self._local = threading.local()
        self._new_request = several.create_infer_request
        self._threads = ThreadPoolExecutor(
            several.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"), thread_name_prefix="scoring"
        )
        self._alone = compiled("LATENCY").create_infer_request()
        self._alone_is_taken = threading.Lock()

    def start(self, pixels: np.ndarray) -> _Running:
        if len(pixels) == 1 and self._alone_is_taken.acquire(blocking=False):
            try:
                scores = _infer(self._alone, pixels)
            finally:
                self._alone_is_taken.release()
            return lambda: scores
        futures: list[Future[np.ndarray]] = [
            self._threads.submit(self._score_one, pixels[row : row + 1]) for row in range(len(pixels))
        ]
        return lambda: np.concatenate([future.result() for future in futures])

    def _score_one(self, pixels: np.ndarray) -> np.ndarray:
        if not hasattr(self._local, "request"):
            self._local.request = self._new_request()
        return _infer(self._local.request, pixels)


def _infer(request: Any, pixels: np.ndarray) -> np.ndarray:
    request.infer([pixels], share_inputs=True)
    # The request's next answer goes to the same memory.
    return request.get_output_tensor(0).data.copy()
