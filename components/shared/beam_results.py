"""Small results of a Beam pipeline: lines of JSON for the process that started it."""

import json
import os
from typing import Any

import apache_beam as beam


def write_rows(rows: beam.PCollection, folder: str, name: str) -> None:
    """Adds a step to the Beam pipeline that writes every row to `folder/name` as a line of JSON."""
    _ = (
        rows
        | f"ToJson[{name}]" >> beam.Map(json.dumps)
        | f"WriteRows[{name}]" >> beam.io.WriteToText(os.path.join(folder, name), num_shards=1, shard_name_template="")
    )


def read_rows(folder: str, name: str) -> list[Any]:
    """The rows that a finished pipeline wrote, in no particular order."""
    with beam.io.filesystems.FileSystems.open(os.path.join(folder, name)) as lines:
        return [json.loads(line) for line in lines]
