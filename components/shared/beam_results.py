"""Small results of a Beam pipeline: lines of JSON for the process that started it."""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue


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
        | f"Parts[{label}]" >> beam.ParDo(_WriteParts(folder))
        | f"Gathered[{label}]" >> beam.GroupByKey()
        # WriteToText has three times as many steps.
        | f"WriteRows[{label}]" >> beam.Map(_write, folder)
    )


def _line(row: Any, name: str) -> tuple[str, str]:
    return name, json.dumps(row)


def _none(_impulse: bytes, names: list[str]) -> list[tuple[str, None]]:
    return [(name, None) for name in names]


class _WriteParts(beam.DoFn):
    """From the lines of a bundle to the paths of files, one for each name.

    Flink can gather paths, but not any number of lines: what has one key becomes a record there, which must fit into a
    buffer of some megabytes.
    """

    def __init__(self, folder: str):
        self._folder = folder

    def start_bundle(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def process(self, named: tuple[str, str | None]) -> None:
        name, line = named
        self._lines.setdefault(name, []).extend([] if line is None else [line])

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for name, lines in self._lines.items():
            part = os.path.join(self._folder, f"{name}.{uuid.uuid4().hex}")
            with FileSystems.create(part) as file:
                file.write("".join(f"{line}\n" for line in lines).encode())
            yield WindowedValue((name, part), MIN_TIMESTAMP, [GlobalWindow()])


def _write(named: tuple[str, Iterable[str]], folder: str) -> None:
    name, parts = named
    write_lines(os.path.join(folder, name), (line for part in parts for line in _read_lines(part)))


def write_lines(path: str, lines: Iterable[str]) -> None:
    """Writes a file that appears complete or not at all; a repeated attempt writes it anew."""
    partial = f"{path}.{uuid.uuid4().hex}"
    with FileSystems.create(partial) as file:
        for line in lines:
            file.write(line.encode() + b"\n")
    FileSystems.rename([partial], [path])


def read_rows(folder: str, name: str) -> list[Any]:
    """The rows that a finished pipeline wrote, in no particular order."""
    return list(map(json.loads, _read_lines(os.path.join(folder, name))))


def _read_lines(path: str) -> Iterator[str]:
    with FileSystems.open(path) as lines:
        for line in lines:
            yield line.decode().rstrip("\n")
