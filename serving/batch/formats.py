"""Rows as text or Parquet, written as they come. Importing this module is cheap; pyarrow is imported for Parquet only.

The columns, in this order: `image`, `label`, `probability`, `is_positive`, `model_version`, `error`, then
`score_<class>` for every class in label order. JSON and JSONL have the scores as one object under `scores` instead.
CSV has an empty field where JSON has null, and `true` and `false`.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from crackgate.contracts.answer import Answer

if TYPE_CHECKING:
    import pyarrow

    from serving.batch.predictions import PredictionRow

_PLAIN = ("image", *(field.name for field in fields(Answer) if field.name != "scores"))
# Rows of one group of a Parquet file.
_GROUP = 8192


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"


class UnknownFormatError(ValueError):
    """A file's name that tells no format."""


class Writer(Protocol):
    """Takes one row after the other."""

    def write(self, row: "PredictionRow") -> None:
        """Writes one row."""


def format_of(file: Path) -> Format:
    """Returns the format that a file's extension stands for.

    Raises:
        UnknownFormatError: It stands for none.
    """
    try:
        return Format(file.suffix.lower().removeprefix("."))
    except ValueError:
        allowed = ", ".join(f".{name}" for name in Format if name != Format.TABLE)
        raise UnknownFormatError(
            f"{str(file)!r}: the extension tells the format, allowed are {allowed}; give --format for another name"
        ) from None


def column_names(classes: Sequence[str]) -> list[str]:
    """The columns of CSV and Parquet."""
    return [*_PLAIN, *(f"score_{name}" for name in classes)]


def flat(row: "PredictionRow", classes: Sequence[str]) -> dict[str, Any]:
    """One row by its columns."""
    record = _record(row, classes)
    scores = record.pop("scores") or {}
    return record | {f"score_{name}": scores.get(name) for name in classes}


def parquet_schema(classes: Sequence[str]) -> "pyarrow.Schema":
    """The columns' types: strings, 64-bit floats, one boolean; every column may be null."""
    import pyarrow

    types = {"probability": pyarrow.float64(), "is_positive": pyarrow.bool_()}
    fields = [(name, types.get(name, pyarrow.string())) for name in _PLAIN]
    return pyarrow.schema([*fields, *((f"score_{name}", pyarrow.float64()) for name in classes)])


def json_line(row: "PredictionRow", classes: Sequence[str]) -> str:
    """One row as a JSON object in one line."""
    return json.dumps(_record(row, classes), ensure_ascii=False)


def _record(row: "PredictionRow", classes: Sequence[str]) -> dict[str, Any]:
    return {"image": row.image, **row.answer.record(classes)}


@contextmanager
def text_writer(kind: Format, stream: TextIO, classes: Sequence[str]) -> Iterator[Writer]:
    """Writes rows to a text stream; what stands at the end of the format is written when the context ends.

    Args:
        kind: Any but Parquet.
        stream: Opened with newline="" for CSV.
        classes: Names in label order.
    """
    if kind is Format.JSON:
        array = _JsonArray(stream, classes)
        yield array
        array.finish()
    elif kind is Format.JSONL:
        yield _JsonLines(stream, classes)
    elif kind is Format.CSV:
        yield _Csv(stream, classes)
    else:
        yield _Table(stream, classes)


@contextmanager
def parquet_writer(file: Path, classes: Sequence[str]) -> Iterator[Writer]:
    """Writes rows to a Parquet file, some thousands at a time."""
    from pyarrow import parquet

    with parquet.ParquetWriter(file, parquet_schema(classes)) as target:
        writer = _Parquet(target, classes)
        yield writer
        writer.flush()


class _JsonArray:
    def __init__(self, stream: TextIO, classes: Sequence[str]):
        self._stream, self._classes, self._before = stream, classes, "[\n"

    def write(self, row: "PredictionRow") -> None:
        self._stream.write(self._before + json_line(row, self._classes))
        self._stream.flush()
        self._before = ",\n"

    def finish(self) -> None:
        self._stream.write("[]\n" if self._before == "[\n" else "\n]\n")


class _JsonLines:
    def __init__(self, stream: TextIO, classes: Sequence[str]):
        self._stream, self._classes = stream, classes

    def write(self, row: "PredictionRow") -> None:
        self._stream.write(json_line(row, self._classes) + "\n")
        self._stream.flush()


class _Csv:
    def __init__(self, stream: TextIO, classes: Sequence[str]):
        self._stream, self._classes = stream, classes
        self._rows = csv.writer(stream, lineterminator="\n")
        self._rows.writerow(column_names(classes))

    def write(self, row: "PredictionRow") -> None:
        values = flat(row, self._classes).values()
        self._rows.writerow([json.dumps(value) if isinstance(value, bool) else value for value in values])
        self._stream.flush()


class _Table:
    """The image comes last: its name may be of any length, and no row waits for a longer one."""

    def __init__(self, stream: TextIO, classes: Sequence[str]):
        self._stream = stream
        self._width = max(map(len, ("label", "error", *classes)))
        self._write("label", "probability", "image")

    def write(self, row: "PredictionRow") -> None:
        image = row.image if row.image.isprintable() else repr(row.image)
        if row.answer.error:
            self._write("error", "", f"{image}: {row.answer.error}")
        else:
            self._write(row.answer.label, f"{row.answer.probability:.4f}", image)

    def _write(self, label: str, probability: str, image: str) -> None:
        self._stream.write(f"{label:{self._width}}  {probability:>11}  {image}\n")
        self._stream.flush()


class _Parquet:
    def __init__(self, target: "pyarrow.parquet.ParquetWriter", classes: Sequence[str]):
        self._target, self._classes = target, classes
        self._rows: list[dict[str, Any]] = []

    def write(self, row: "PredictionRow") -> None:
        self._rows.append(flat(row, self._classes))
        if len(self._rows) == _GROUP:
            self.flush()

    def flush(self) -> None:
        import pyarrow

        if self._rows:
            self._target.write_table(pyarrow.Table.from_pylist(self._rows, schema=self._target.schema))
            self._rows = []
