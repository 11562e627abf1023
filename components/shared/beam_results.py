"""Small results of a Beam pipeline: lines of JSON for the process that started it."""

import json
import os
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems


def write_rows(rows: Mapping[str, beam.PCollection], folder: str) -> None:
    """Adds steps to the Beam pipeline that write the rows by name, as lines of JSON in the file `folder/name`.

    One worker writes a file. There is a file without rows, too: a missing one means that the worker has another disk.
    All names share the steps, since each step takes milliseconds.
    """
    label, names = ",".join(rows), list(rows)
    lines = [each | f"Line[{name}]" >> beam.Map(_line, name) for name, each in rows.items()]
    nothing = (
        lines[0].pipeline | f"Nothing[{label}]" >> beam.Impulse() | f"NoLines[{label}]" >> beam.FlatMap(_none, names)
    )
    _ = (
        (*lines, nothing)
        | f"Lines[{label}]" >> beam.Flatten()
        | f"Gathered[{label}]" >> beam.GroupByKey()
        # WriteToText has three times as many steps.
        | f"WriteRows[{label}]" >> beam.Map(_write, folder)
    )


def _line(row: Any, name: str) -> tuple[str, str]:
    return name, json.dumps(row)


def _none(_impulse: bytes, names: list[str]) -> list[tuple[str, None]]:
    return [(name, None) for name in names]


def _write(named: tuple[str, Iterable[str | None]], folder: str) -> None:
    name, lines = named
    write_lines(os.path.join(folder, name), (line for line in lines if line is not None))


def write_lines(path: str, lines: Iterable[str]) -> None:
    """Writes a file that appears complete or not at all; a repeated attempt writes it anew."""
    partial = f"{path}.{uuid.uuid4().hex}"
    with FileSystems.create(partial) as file:
        for line in lines:
            file.write(line.encode() + b"\n")
    FileSystems.rename([partial], [path])


def read_rows(folder: str, name: str) -> list[Any]:
    """The rows that a finished pipeline wrote, in no particular order."""
    with FileSystems.open(os.path.join(folder, name)) as lines:
        return [json.loads(line) for line in lines]
