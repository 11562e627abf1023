"""All rows of the account are in its files, its own lists are bounded, and its counts are exact."""

import json
from collections import Counter
from pathlib import Path

import apache_beam as beam

from components.image_example_gen.account import read_account
from components.image_example_gen.account_rows import REASONS, REJECTED, WARNING, write_account_rows
from components.image_example_gen.staged_examples import Row, account_row
from components.shared.beam_results import write_rows
from crackgate.config.beam import BeamOptions
from crackgate.contracts.account import LISTED
from pipeline.beam_profiles import beam_pipeline_args


def _rows(reason: str, count: int, detail: str = "") -> list[Row]:
    return [
        account_row(
            f"Positive/{number:05d}\udcff.jpg".encode("utf-8", "surrogateescape"),
            "Positive",
            reason=reason,
            detail=detail,
        )
        for number in range(count)
    ]


def test_thousands_of_rows_are_kept_and_counted(tmp_path: Path) -> None:
    rejected = [*_rows("truncated", 2_500, "cut"), account_row(b"Negative/a.jpg", "Negative", reason="label conflict")]
    warnings = [
        account_row(name, "Negative", reason="first of several frames")
        for name in (b"Negative/a.jpg", b"Negative/b.jpg")
    ]
    (tmp_path / "rows").mkdir()
    with beam.Pipeline(argv=beam_pipeline_args(BeamOptions())) as pipeline:
        reasons = write_account_rows(
            pipeline
            | "Rows" >> beam.Create([*((REJECTED, row) for row in rejected), *((WARNING, row) for row in warnings)]),
            str(tmp_path / "rows"),
            shards=3,
        )
        images, groups = pipeline | "Images" >> beam.Create([[["train", "Negative"], 7]]), pipeline | beam.Create([7])
        overlaps = pipeline | "Overlaps" >> beam.Create([])
        write_rows({REASONS: reasons, "images": images, "groups": groups, "overlaps": overlaps}, str(tmp_path))
    account = read_account(str(tmp_path), 2_508, ["Negative", "Positive"])
    assert account.rejected_by_reason == {"truncated": 2_500, "label conflict": 1}
    assert list(account.rejected_by_reason) == ["truncated", "label conflict"]
    assert (account.rejected_count, account.warnings_count) == (2_501, 1)
    listed = [row.path for row in account.rejected if row.reason == "truncated"]
    assert listed == sorted(row["path"] for row in rejected[:-1])[:LISTED]
    # The other warning's image was rejected later.
    assert [row.path for row in account.warnings] == ["Negative/b.jpg"]
    written = [json.loads(line) for file in (tmp_path / "rows").iterdir() for line in file.read_text().splitlines()]
    assert len(list((tmp_path / "rows").iterdir())) == 3
    assert Counter(row["outcome"] for row in written) == {"rejected": 2_501, "warning": 1}
    assert {row["path"] for row in written} == {row["path"] for row in (*rejected, *warnings)}
