"""Rows as text or Parquet, written as they come. Importing this module is cheap: only Parquet imports pyarrow.

The columns, in this order: `image`, `label`, `probability`, `is_positive`, `unfamiliarity`, `model_version`, `error`,
then `score_<class>` for every class in label order. JSON and JSONL have the scores as one object under `scores`
instead. CSV has an empty field where JSON has null, `true` and `false`, and an apostrophe before texts that begin like
a formula.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from crackgate.contracts.answer import Answer
from crackgate.csv_cells import csv_cells

if TYPE_CHECKING:
    import pyarrow

    from crackgate.model.predictions import PredictionRow

_PLAIN = ("image", *(field.name for field in fields(Answer) if field.name != "scores"))
# Rows of one group of a Parquet file.
_GROUP = 8192

# Takes one row after the other.
Write = Callable[["PredictionRow"], None]


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"


class UnknownFormatError(ValueError):
    """A file's name that tells no format."""


def format_of(file: Path) -> Format:
    """Returns the format that a file's extension stands for; raises UnknownFormatError where it stands for none."""
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

    types = {
        "probability": pyarrow.float64(),
        "is_positive": pyarrow.bool_(),
        "unfamiliarity": pyarrow.float64(),
    }
    fields = [(name, types.get(name, pyarrow.string())) for name in _PLAIN]
    return pyarrow.schema([*fields, *((f"score_{name}", pyarrow.float64()) for name in classes)])


def json_line(row: "PredictionRow", classes: Sequence[str]) -> str:
    """One row as a JSON object in one line."""
    return json.dumps(_record(row, classes), ensure_ascii=False)


def _record(row: "PredictionRow", classes: Sequence[str]) -> dict[str, Any]:
    return {"image": row.image, **row.answer.record(classes)}


@contextmanager
def text_writer(kind: Format, stream: TextIO, classes: Sequence[str]) -> Iterator[Write]:
    """Gives a function that writes rows to a text stream; the end of the format is written when the context ends.

    Args:
        kind: Any but Parquet.
        stream: Opened with newline="" for CSV.
        classes: Names in label order.
    """
    # The image comes last: its name may be of any length, and no row waits for a longer one.
    width = max(map(len, ("label", "error", *classes)))
    table = csv.writer(stream, lineterminator="\n")
    separator = "[\n"

    def write_json(row: "PredictionRow") -> None:
        nonlocal separator
        stream.write(separator + json_line(row, classes))
        separator = ",\n"

    def write_json_line(row: "PredictionRow") -> None:
        stream.write(json_line(row, classes) + "\n")

    def write_csv(row: "PredictionRow") -> None:
        table.writerow(csv_cells(flat(row, classes).values()))

    def write_table(row: "PredictionRow") -> None:
        image, answer = row.image if row.image.isprintable() else repr(row.image), row.answer
        if answer.error:
            write_columns("error", "", "", f"{image}: {answer.error}")
        else:
            unfamiliarity = "" if answer.unfamiliarity is None else f"{answer.unfamiliarity:.2f}"
            write_columns(answer.label, f"{answer.probability:.4f}", unfamiliarity, image)

    def write_columns(label: str, probability: str, unfamiliarity: str, image: str) -> None:
        stream.write(f"{label:{width}}  {probability:>11}  {unfamiliarity:>13}  {image}\n")

    if kind is Format.CSV:
        table.writerow(column_names(classes))
    elif kind is Format.TABLE:
        write_columns("label", "probability", "unfamiliarity", "image")
    writers = {Format.JSON: write_json, Format.JSONL: write_json_line, Format.CSV: write_csv, Format.TABLE: write_table}

    def write_now(row: "PredictionRow") -> None:
        writers[kind](row)
        stream.flush()

    yield write_now
    if kind is Format.JSON:
        stream.write("[]\n" if separator == "[\n" else "\n]\n")


@contextmanager
def parquet_writer(file: Path, classes: Sequence[str]) -> Iterator[Write]:
    """Gives a function that writes rows to a Parquet file, some thousands at a time."""
    import pyarrow
    from pyarrow import parquet

    schema = parquet_schema(classes)
    group: list[dict[str, Any]] = []
    with parquet.ParquetWriter(file, schema) as target:

        def write(row: "PredictionRow") -> None:
            group.append(flat(row, classes))
            if len(group) == _GROUP:
                write_group()

        def write_group() -> None:
            target.write_table(pyarrow.Table.from_pylist(group, schema=schema))
            group.clear()

        yield write
        if group:
            write_group()
