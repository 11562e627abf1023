"""Scores sets of images that one machine takes too long for, as a Beam pipeline of `predictions.predict`."""

import json
import os
import re
import shutil
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from crackgate.contracts.card import NotAReleaseError, read_card
from crackgate.contracts.engine_choice import EngineChoice
from crackgate.model.predictions import PredictionRow, predict
from crackgate.model.released_model import ReleasedModel, load_released_model
from crackgate.releases import UntrustedVersionError, check_trusted
from crackgate.releases.signatures import PublicKey
from crackgate.storage.object_store import StorageError
from serving.batch.counts import PredictionCounts
from serving.batch.formats import Format, flat, json_line, parquet_schema
from serving.batch.inputs import NoSuchInputError, find_images
from serving.batch.labels import UNFAMILIAR

SHARDS = "predictions"
SUMMARY_FILE = "summary.json"
_ERROR = "error"
# The errors of a worker that tell a user what to do.
_REFUSALS = (UntrustedVersionError, NotAReleaseError, NoSuchInputError, StorageError)


def predict_with_beam(
    model_dir: Path,
    arguments: Sequence[str],
    output: Path,
    kind: Format,
    engine: EngineChoice,
    pipeline_args: list[str],
    public_key: PublicKey | None = None,
    version: int | None = None,
) -> PredictionCounts:
    """Runs the pipeline to its end. Shards appear under their names when all of them are whole.

    Every path has to be valid on the workers, which match files and load the model, each process once.

    Args:
        model_dir: Folder of a released version.
        arguments: See `find_images`.
        output: Empty folder, created where it is not there; receives `summary.json` and
            `predictions-00000-of-00004.parquet` and so on.
        engine: Computes the scores.
        pipeline_args: Beam's options: which runner, how many workers.
        public_key: Must have signed the version that a worker loads; see `crackgate.releases.verify`.
        version: The number that it must have.

    Raises NotAReleaseError, UntrustedVersionError, NoSuchInputError and StorageError where a worker does.
    """
    card = read_card(model_dir)
    classes = card.classes
    output.mkdir(parents=True, exist_ok=True)
    with (
        _refusals_of_workers(),
        _whole_or_empty(output),
        beam.Pipeline(options=PipelineOptions(pipeline_args)) as pipeline,
    ):
        rows = (
            pipeline
            | "Arguments" >> beam.Create(list(arguments))
            | "FindImages" >> beam.FlatMap(_find, str(output))
            # From the worker that listed them to all workers.
            | "Spread" >> beam.Reshuffle()
            | "Score" >> RunInference(_Handler(str(model_dir), engine, public_key, version))
        )
        if kind is Format.PARQUET:
            columns = rows | "Columns" >> beam.Map(flat, classes=classes)
            _ = columns | beam.io.WriteToParquet(
                str(output / SHARDS), parquet_schema(classes), file_name_suffix=".parquet", codec="snappy"
            )
        else:
            lines = rows | "Lines" >> beam.Map(json_line, classes=classes)
            _ = lines | beam.io.WriteToText(str(output / SHARDS), file_name_suffix=".jsonl")
        _ = (
            rows
            | "Outcomes" >> beam.FlatMap(_outcomes)
            | "Count" >> beam.combiners.Count.PerElement()
            | "Counts" >> beam.combiners.ToDict()
            | "Summary" >> beam.Map(_summary, classes=classes, tells_unfamiliar=card.familiarity is not None)
            | "WriteSummary" >> beam.io.WriteToText(str(output / SUMMARY_FILE), shard_name_template="")
        )
    return PredictionCounts(**json.loads((output / SUMMARY_FILE).read_text(encoding="utf-8")))


@contextmanager
def _refusals_of_workers() -> Iterator[None]:
    """Raises them anew, with their own words: Beam adds its step's name, or hands a trace on as text."""
    try:
        yield
    except Exception as error:
        told = "".join(traceback.format_exception_only(error))
        for kind in _REFUSALS:
            name = re.escape(f"{kind.__module__}.{kind.__qualname__}")
            if found := re.search(rf"^{name}: (.*?)(?: \[while running '.*'\])?$", told, re.MULTILINE):
                raise kind(found[1]) from None
        raise


@contextmanager
def _whole_or_empty(output: Path) -> Iterator[None]:
    """Removes what Beam's sinks leave where a pipeline fails: the next attempt needs an empty folder."""
    try:
        yield
    except BaseException:
        for left in (*output.glob(f"{SHARDS}-*"), *output.glob(f"{SUMMARY_FILE}*")):
            left.unlink(missing_ok=True)
        raise
    finally:
        for folder in output.glob("beam-temp-*"):
            shutil.rmtree(folder, ignore_errors=True)


def _find(argument: str, output: str) -> Iterator[bytes]:
    # As bytes: names that are no UTF-8 pass no coder of text.
    return map(os.fsencode, find_images([argument], Path(output)))


def _outcomes(row: PredictionRow) -> Iterator[str]:
    yield _ERROR if row.answer.error else f"label {row.answer.label}"
    if row.answer.is_unfamiliar:
        yield UNFAMILIAR


def _summary(counts: dict[str, int], classes: list[str], tells_unfamiliar: bool) -> str:
    unfamiliar = counts.pop(UNFAMILIAR, 0)
    labels = {name: counts.get(f"label {name}", 0) for name in classes}
    rows, errors = sum(counts.values()), counts.get(_ERROR, 0)
    content = PredictionCounts(rows, errors, labels, unfamiliar if tells_unfamiliar else None)
    return json.dumps(asdict(content), ensure_ascii=False)


class _Handler(ModelHandler[bytes, PredictionRow, ReleasedModel]):
    """Loads the model once in every worker process; Beam keeps it there."""

    def __init__(self, model_dir: str, engine: EngineChoice, public_key: PublicKey | None, version: int | None):
        super().__init__(min_batch_size=16, max_batch_size=256)
        self._model_dir, self._engine, self._version = model_dir, engine, version
        # A key itself cannot be sent to workers.
        self._public_key = None if public_key is None else public_key.public_bytes_raw()

    def load_model(self) -> ReleasedModel:
        # Others may write where the workers read, after the command looked.
        key = None if self._public_key is None else PublicKey.from_public_bytes(self._public_key)
        check_trusted(Path(self._model_dir), key, self._version)
        return load_released_model(Path(self._model_dir), self._engine)

    def run_inference(
        self, batch: Sequence[bytes], model: ReleasedModel, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionRow]:
        del inference_args
        return predict(model, map(os.fsdecode, batch))
