"""From a released model and labelled photographs to both TensorFlow Lite files and their metrics; writes nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from crackgate.config.gate import GateOptions
from crackgate.model.released_model import ReleasedModel, load_released_model
from crackgate.model.training_digests import read_training_digests
from serving.lite.comparison import MeasuredNetwork, Score, compare_networks, largest_difference
from serving.lite.conversion import LiteNetwork, convert, quantise
from serving.lite.errors import ConversionError, PhotographsError
from serving.lite.photographs import Chunk, LabelledFile, Shares, Skipped, read_photographs

# Names of the networks.
SAVED_MODEL, FLOAT32, INT8 = "saved_model", "float32", "int8"
# How far a score of the float file may lie from the SavedModel's.
TOLERANCE = 1e-4

# Photographs that the float file is compared on before the integer file is made.
_COMPARED = 32
_LONGEST_LIST = 5


@dataclass(frozen=True)
class Export:
    """Both files, by content, and their metrics.

    Attributes:
        int8: None where there can be none; `int8_problem` says why, "" where there is one.
        networks: By name.
        calibrated_on: Photographs that the integers' ranges were measured on.
        judged_on: Photographs that judged, by class.
        seen_in_training: Number of those that judged; None where the model does not say.
    """

    model: ReleasedModel
    float32: bytes
    int8: bytes | None
    int8_problem: str
    networks: dict[str, MeasuredNetwork]
    calibrated_on: int
    judged_on: dict[str, int]
    seen_in_training: int | None
    skipped: list[Skipped]


def export(
    folder: Path,
    data: Path,
    shares: Shares,
    gate: GateOptions,
    say: Callable[[str], None],
) -> Export:
    """Converts a released version, judges it by the photographs in `data`, and calls `say` with each step that begins.

    Raises:
        NotAReleaseError: The folder holds no release.
        PhotographsError: No photograph calibrates, or a class has none that judges.
        ConversionError: The network cannot be converted to float32, or is another one then.
    """
    say("loading the model ...")
    model = load_released_model(folder)
    loaded = model.loaded
    skipped, trained_on = list(shares.skipped), read_training_digests(folder)

    def read(files: list[LabelledFile]) -> Iterator[Chunk]:
        for chunk in read_photographs(data, files, loaded, model.limits, trained_on):
            skipped.extend(chunk.skipped)
            yield chunk

    say(f"reading {len(shares.calibrating)} photographs to calibrate with ...")
    calibrating = np.concatenate([chunk.pixels for chunk in read(shares.calibrating)])
    if not len(calibrating):
        raise PhotographsError(f"no photograph is left to calibrate with: {_some(skipped)}; give more of them")
    say("converting to float32 ...")
    float32 = convert(loaded, model.image_size)
    # Before anything is measured in it: a network of values that are no numbers would end the process in TensorFlow.
    _check_agreement(_difference(_networks(loaded, float32, None), calibrating[:_COMPARED]))
    say("converting to int8 ...")
    int8, int8_problem = None, ""
    try:
        int8 = quantise(loaded, model.image_size, calibrating)
    except ConversionError as error:
        int8_problem = str(error)

    images, seen = np.zeros(len(model.classes), np.int64), 0

    def read_judging() -> Iterator[Chunk]:
        nonlocal images, seen
        for chunk in read(shares.judging):
            images += np.bincount(chunk.labels, minlength=len(images))
            seen += chunk.seen or 0
            say(f"judging ... {images.sum()} photographs")
            yield chunk
        for name, count in zip(model.classes, images, strict=True):
            if not count:
                raise PhotographsError(f"no photograph of {name!r} is left to judge by: {_some(skipped)}; give more")

    networks = compare_networks(_networks(loaded, float32, int8), read_judging(), model.decision, gate)
    _check_agreement(networks[FLOAT32].largest_difference)
    return Export(
        model=model,
        float32=float32,
        int8=int8,
        int8_problem=int8_problem,
        networks=networks,
        calibrated_on=len(calibrating),
        judged_on=dict(zip(model.classes, images.tolist(), strict=True)),
        seen_in_training=None if trained_on is None else seen,
        skipped=skipped,
    )


def _networks(loaded: Any, float32: bytes, int8: bytes | None) -> dict[str, Score]:
    networks: dict[str, Score] = {
        # TensorFlow, whichever engine the release runs in here: it was TensorFlow that the gate judged.
        SAVED_MODEL: lambda pixels: loaded.score_pixels(tf.constant(pixels)).numpy(),
        FLOAT32: LiteNetwork(float32).score,
    }
    if int8 is not None:
        networks[INT8] = LiteNetwork(int8).score
    return networks


def _difference(networks: dict[str, Score], pixels: np.ndarray) -> float:
    return largest_difference(networks[FLOAT32](pixels), networks[SAVED_MODEL](pixels))


def _check_agreement(off: float) -> None:
    # NaN is no agreement, either.
    if not off <= TOLERANCE:
        raise ConversionError(
            f"the float32 file's scores differ from the SavedModel's by {off:.1g}, {TOLERANCE:g} is allowed: nothing "
            "was written; this network cannot be used in TensorFlow Lite"
        )


def _some(skipped: list[Skipped]) -> str:
    """The first few, with their reasons."""
    said = ", ".join(f"{each.path!r} ({each.reason})" for each in skipped[:_LONGEST_LIST])
    return f"skipped are {said}{', ...' if len(skipped) > _LONGEST_LIST else ''}" if skipped else "none was skipped"
