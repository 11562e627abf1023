"""Rows of a Beam pipeline come back whole; no rows are a file, too."""

import pickle
from pathlib import Path

import apache_beam as beam
import pytest

from components.shared import beam_results
from components.shared.beam_results import read_rows, write_rows
from crackgate.config.beam import BeamOptions
from pipeline.beam_profiles import beam_pipeline_args


@pytest.mark.parametrize("rows", [[], [1, 2, 3], ["\u00e4\n\u2028", None, ["a", {"b": 0.5}]]], ids=len)
def test_rows_come_back(rows: list[object], tmp_path: Path) -> None:
    with beam.Pipeline(argv=beam_pipeline_args(BeamOptions())) as pipeline:
        write_rows(
            {"rows": pipeline | beam.Create(rows), "others": pipeline | "Others" >> beam.Create(["other"])},
            str(tmp_path),
        )
    assert sorted(read_rows(tmp_path, "rows"), key=repr) == sorted(rows, key=repr)
    assert read_rows(tmp_path, "others") == ["other"]
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {"others", "rows"}


def test_a_repeated_attempt_leaves_no_row_twice(tmp_path: Path) -> None:
    for rows in ([1, 2], [3]):
        with beam.Pipeline(argv=beam_pipeline_args(BeamOptions())) as pipeline:
            write_rows({"rows": pipeline | beam.Create(rows)}, str(tmp_path))
    assert read_rows(tmp_path, "rows") == [3]


def test_any_number_of_rows_is_gathered_as_a_few_paths(tmp_path: Path) -> None:
    parts = beam_results._WriteParts(str(tmp_path))
    parts.start_bundle()
    for number in range(10_000):
        parts.process(("rows", f'"{number:0300}"'))
    gathered = [part.value for part in parts.finish_bundle()]
    assert len(pickle.dumps(gathered)) < 1000
    beam_results._write(("rows", [path for _, path in gathered]), str(tmp_path))
    assert len(read_rows(str(tmp_path), "rows")) == 10_000


def test_a_missing_file_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="rows"):
        read_rows(tmp_path, "rows")
