"""Small results of a Beam pipeline, handed to the process that started it as lines of JSON."""

import json
from pathlib import Path
from typing import Any

import apache_beam as beam


def write_tally(rows: beam.PCollection, folder: Path, name: str) -> None:
    """Adds to the Beam pipeline that every row is written to `folder/name`, as a line of JSON."""
    _ = (
        rows
        | f"ToJson[{name}]" >> beam.Map(json.dumps)
        | f"WriteTally[{name}]" >> beam.io.WriteToText(str(folder / name), num_shards=1, shard_name_template="")
    )


def read_tally(folder: Path, name: str) -> list[Any]:
    """Rows that a finished pipeline wrote, in no particular order."""
    with beam.io.filesystems.FileSystems.open(str(folder / name)) as lines:
        return [json.loads(line) for line in lines]
