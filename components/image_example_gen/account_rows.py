"""The account's rows: every rejected file and every warning, written by the workers."""

import json
import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam import combiners

from components.image_example_gen.staged_examples import Row
from components.shared.beam_results import write_rows
from crackgate.contracts.account import LISTED

REJECTED, WARNING = "rejected", "warning"
REASONS = "reasons"


def write_account_rows(rejected: beam.PCollection, warnings: beam.PCollection, rows: str, staging: str) -> None:
    """Adds steps to the Beam pipeline that write all rows, and each reason's number and first rows.

    An image that was taken with a warning may be rejected for its copies; its warning goes.

    Args:
        rejected: `Row` of each rejected file.
        warnings: `Row` of each warning.
        rows: Folder for all rows, as files of JSON lines; the field "outcome" is "rejected" or "warning".
        staging: Folder for `REASONS`, which `account.read_account` reads.
    """
    settled = (
        {REJECTED: rejected | "RejectedByPath" >> beam.Map(_by_path), WARNING: warnings | beam.Map(_by_path)}
        | "JoinRows" >> beam.CoGroupByKey()
        | "Settle" >> beam.FlatMapTuple(_settle)
    )
    _ = (
        settled
        | "RowLines" >> beam.MapTuple(_line)
        | "WriteAllRows" >> beam.io.WriteToText(os.path.join(rows, "rows"), file_name_suffix=".jsonl")
    )
    count_and_first = combiners.SingleInputTupleCombineFn(
        combiners.CountCombineFn(), combiners.TopCombineFn(LISTED, reverse=True)
    )
    reasons = settled | "ByReason" >> beam.MapTuple(_by_reason) | "CountReasons" >> beam.CombinePerKey(count_and_first)
    write_rows(reasons, staging, REASONS)


def _by_path(row: Row) -> tuple[str, Row]:
    return row["path"], row


def _settle(_path: str, found: dict[str, list[Row]]) -> Iterator[tuple[str, Row]]:
    outcome = REJECTED if any(True for _ in found[REJECTED]) else WARNING
    yield from ((outcome, row) for row in found[outcome])


def _line(outcome: str, row: Row) -> str:
    return json.dumps({"outcome": outcome, **row})


def _by_reason(outcome: str, row: Row) -> tuple[tuple[str, str], Any]:
    return (outcome, row["reason"]), (row["path"], row["class"], row.get("detail", ""))
