"""The account's rows: every rejected file and every warning, written by the workers."""

import json
import os
import zlib
from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam import combiners

from components.image_example_gen.staged_examples import Row
from components.shared.beam_results import write_lines
from crackgate.contracts.account import LISTED

REJECTED, WARNING = "rejected", "warning"
ROWS_OUTPUT = "rows"
REASONS = "reasons"


def write_account_rows(rows: beam.PCollection, folder: str, shards: int) -> beam.PCollection:
    """Adds steps to the Beam pipeline that write all rows.

    An image that was taken with a warning may be rejected for its copies; its warning goes.

    Args:
        rows: "rejected" and the `Row` of each rejected file, "warning" and that of each warning.
        folder: For all rows, as files of JSON lines; the field "outcome" is "rejected" or "warning".
        shards: Files at most; their rows are held in memory, one file's at once.

    Returns:
        Each reason's number and first rows, for `account.read_account`.
    """
    count_and_first = combiners.SingleInputTupleCombineFn(
        combiners.CountCombineFn(), combiners.TopCombineFn(LISTED, reverse=True)
    )
    return (
        rows
        | "RowsByShard" >> beam.Map(_by_shard, shards)
        | "JoinRows" >> beam.GroupByKey()
        | "WriteAllRows" >> beam.FlatMap(_write, folder, shards)
        | "CountReasons" >> beam.CombinePerKey(count_and_first)
    )


def _by_shard(said: tuple[str, Row], shards: int) -> tuple[int, tuple[str, Row]]:
    return zlib.crc32(said[1]["path"].encode()) % shards, said


def _write(
    numbered: tuple[int, Iterable[tuple[str, Row]]], folder: str, shards: int
) -> Iterator[tuple[tuple[str, str], tuple[str, str, str]]]:
    """Writes a shard; from it to each row's outcome and reason, and what the account lists of it."""
    shard, found = numbered[0], list(numbered[1])
    paths = {row["path"] for outcome, row in found if outcome == REJECTED}
    settled = [(outcome, row) for outcome, row in found if outcome == REJECTED or row["path"] not in paths]
    file = os.path.join(folder, f"rows-{shard:05d}-of-{shards:05d}.jsonl")
    write_lines(file, (json.dumps({"outcome": outcome, **row}) for outcome, row in settled))
    for outcome, row in settled:
        yield (outcome, row["reason"]), (row["path"], row["class"], row.get("detail", ""))
