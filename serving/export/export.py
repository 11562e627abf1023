"""From a released model and labelled photographs to networks for another runtime and their metrics; writes nothing."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from crackgate.config.gate import GateOptions
from crackgate.model.outputs import as_outputs, distance, network_function
from crackgate.model.released_model import ReleasedModel, load_released_model
from crackgate.model.training_digests import read_training_digests
from crackgate.plural import counted
from crackgate.storage.location import Location
from serving.export.comparison import MeasuredNetwork, Score, compare_networks
from serving.export.errors import ConversionError, PhotographsError
from serving.export.interface import Files, Run
from serving.export.photographs import Chunk, LabelledFile, Shares, Skipped, read_photographs
from serving.export.runtimes import FORMS, Runtime

# Names of the networks.
SAVED_MODEL, FLOAT32, INT8 = "saved_model", "float32", "int8"
# How far a score of the float network may lie from the SavedModel's.
TOLERANCE = 1e-4

# Photographs that the float network is compared on before the integer network is made.
_COMPARED = 32
_LONGEST_LIST = 5


@dataclass(frozen=True)
class Export:
    """The networks' files and metrics.

    Attributes:
        files: By the network's name. Where there are none of int8 though the runtime has integers, `int8_problem` says
            why.
        networks: By name.
        calibrated_on: Photographs that the integers' ranges were measured on.
        judged_on: Photographs that judged, by class.
        seen_in_training: Number of those that judged; None where the model does not say.
    """

    model: ReleasedModel
    runtime: Runtime
    files: dict[str, Files]
    int8_problem: str
    networks: dict[str, MeasuredNetwork]
    calibrated_on: int
    judged_on: dict[str, int]
    seen_in_training: int | None
    skipped: list[Skipped]


def export(
    folder: Path,
    data: Location,
    shares: Shares,
    runtime: Runtime,
    gate: GateOptions,
    say: Callable[[str], None],
) -> Export:
    """Converts a released version, judges it by the photographs in `data`, and calls `say` with each step that begins.

    Raises:
        NotAReleaseError: The folder holds no release.
        PhotographsError: No photograph calibrates, or a class has none that judges.
        ConversionError: The network cannot be converted to float32, or is another one then.
    """
    # Each brings a runtime of its own.
    converter: Any = importlib.import_module(f"serving.export.{runtime}")
    say("loading the model ...")
    model = load_released_model(folder)
    loaded = model.loaded
    skipped, trained_on = list(shares.skipped), read_training_digests(folder)

    def read(files: list[LabelledFile]) -> Iterator[Chunk]:
        for chunk in read_photographs(data, files, loaded, model.limits, trained_on):
            skipped.extend(chunk.skipped)
            yield chunk

    say(f"reading {counted(len(shares.calibrating), 'photograph')} to calibrate with ...")
    calibrating = np.concatenate([chunk.pixels for chunk in read(shares.calibrating)])
    if not len(calibrating):
        raise PhotographsError(f"no photograph is left to calibrate with: {_some(skipped)}; give more of them")
    say("converting to float32 ...")
    files = {FLOAT32: converter.convert(loaded, model.image_size)}
    runs: dict[str, Run] = {
        # TensorFlow, whichever engine the release runs in here: it was TensorFlow that the gate judged.
        SAVED_MODEL: lambda pixels: as_outputs(network_function(loaded)(tf.constant(pixels))),
        FLOAT32: converter.load(files[FLOAT32]),
    }
    # Before anything is measured in it: a network of values that are no numbers would end the process in TensorFlow.
    _check_agreement(runs, calibrating[:_COMPARED], runtime)
    int8_problem = ""
    if FORMS[runtime].integers:
        say("converting to int8 ...")
        try:
            files[INT8] = converter.quantise(loaded, model.image_size, calibrating)
            runs[INT8] = converter.load(files[INT8])
        except ConversionError as error:
            int8_problem = str(error)

    images, seen = np.zeros(len(model.classes), np.int64), 0

    def read_judging() -> Iterator[Chunk]:
        nonlocal images, seen
        for chunk in read(shares.judging):
            images += np.bincount(chunk.labels, minlength=len(images))
            seen += chunk.seen or 0
            say(f"judging ... {counted(int(images.sum()), 'photograph')}")
            yield chunk
        for name, count in zip(model.classes, images, strict=True):
            if not count:
                raise PhotographsError(f"no photograph of {name!r} is left to judge by: {_some(skipped)}; give more")

    scores = {name: _scores(run) for name, run in runs.items()}
    networks = compare_networks(scores, read_judging(), model.decision, gate)
    off = networks[FLOAT32].largest_difference
    # NaN is no agreement, either.
    if not off <= TOLERANCE:
        raise _another_network(runtime, f"its scores differ from TensorFlow's by {off:.1g}, {TOLERANCE:g} is allowed")
    return Export(
        model=model,
        runtime=runtime,
        files=files,
        int8_problem=int8_problem,
        networks=networks,
        calibrated_on=len(calibrating),
        judged_on=dict(zip(model.classes, images.tolist(), strict=True)),
        seen_in_training=None if trained_on is None else seen,
        skipped=skipped,
    )


def _scores(run: Run) -> Score:
    return lambda pixels: run(pixels).scores


def _check_agreement(runs: dict[str, Run], pixels: np.ndarray, runtime: Runtime) -> None:
    try:
        distance(runs[FLOAT32](pixels), runs[SAVED_MODEL](pixels), TOLERANCE)
    except ValueError as error:
        raise _another_network(runtime, str(error)) from error


def _another_network(runtime: Runtime, reason: str) -> ConversionError:
    return ConversionError(
        f"the float32 network is another one, {reason}: nothing was written; this model cannot be used in "
        f"{FORMS[runtime].title}"
    )


def _some(skipped: list[Skipped]) -> str:
    """The first few, with their reasons."""
    said = ", ".join(f"{each.path!r} ({each.reason})" for each in skipped[:_LONGEST_LIST])
    return f"skipped are {said}{', ...' if len(skipped) > _LONGEST_LIST else ''}" if skipped else "none was skipped"
