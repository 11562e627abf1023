"""Small results of a Beam pipeline: lines of JSON for the process that started it."""

import json
import os
import uuid
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems


def write_rows(rows: beam.PCollection, folder: str, name: str) -> None:
    """Adds a step to the Beam pipeline that writes every row to `folder/name` as a line of JSON, in one worker.

    There is a file without rows, too: a missing one means that the worker has another disk.
    """
    lines = rows | f"ToJson[{name}]" >> beam.Map(json.dumps)
    nothing = rows.pipeline | f"Nothing[{name}]" >> beam.Impulse() | f"NoLine[{name}]" >> beam.Map(lambda _: None)
    _ = (
        (lines, nothing)
        | f"Lines[{name}]" >> beam.Flatten()
        | f"Keyed[{name}]" >> beam.Map(lambda line: (None, line))
        | f"Gathered[{name}]" >> beam.GroupByKey()
        # WriteToText has four times as many steps, and each takes milliseconds.
        | f"WriteRows[{name}]" >> beam.ParDo(_WriteLines(os.path.join(folder, name)))
    )


def read_rows(folder: str, name: str) -> list[Any]:
    """The rows that a finished pipeline wrote, in no particular order."""
    with FileSystems.open(os.path.join(folder, name)) as lines:
        return [json.loads(line) for line in lines]


class _WriteLines(beam.DoFn):
    """Writes a file that appears complete or not at all; a repeated attempt writes it anew."""

    def __init__(self, path: str):
        self._path = path

    def process(self, gathered: tuple[None, Iterable[str | None]]) -> None:
        _, lines = gathered
        partial = f"{self._path}.{uuid.uuid4().hex}"
        with FileSystems.create(partial) as file:
            for line in lines:
                if line is not None:
                    file.write(line.encode() + b"\n")
        FileSystems.rename([partial], [self._path])
