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
REASONS = "reasons"


def write_account_rows(
    rejected: beam.PCollection, warnings: beam.PCollection, folder: str, shards: int
) -> beam.PCollection:
    """Adds steps to the Beam pipeline that write all rows.

    An image that was taken with a warning may be rejected for its copies; its warning goes.

    Args:
        rejected: `Row` of each rejected file.
        warnings: `Row` of each warning.
        folder: For all rows, as files of JSON lines; the field "outcome" is "rejected" or "warning".
        shards: Files at most; their rows are held in memory, one file's at once.

    Returns:
        Each reason's number and first rows, for `account.read_account`.
    """
    count_and_first = combiners.SingleInputTupleCombineFn(
        combiners.CountCombineFn(), combiners.TopCombineFn(LISTED, reverse=True)
    )
    return (
        {
            REJECTED: rejected | "RejectedByShard" >> beam.Map(_by_shard, shards),
            WARNING: warnings | "WarningsByShard" >> beam.Map(_by_shard, shards),
        }
        | "JoinRows" >> beam.CoGroupByKey()
        | "WriteAllRows" >> beam.FlatMap(_write, folder, shards)
        | "CountReasons" >> beam.CombinePerKey(count_and_first)
    )


def _by_shard(row: Row, shards: int) -> tuple[int, Row]:
    return zlib.crc32(row["path"].encode()) % shards, row


def _write(
    numbered: tuple[int, dict[str, Iterable[Row]]], folder: str, shards: int
) -> Iterator[tuple[tuple[str, str], tuple[str, str, str]]]:
    """Writes a shard; from it to each row's outcome and reason, and what the account lists of it."""
    shard, found = numbered
    rejected = list(found[REJECTED])
    paths = {row["path"] for row in rejected}
    settled = [(REJECTED, row) for row in rejected]
    settled += [(WARNING, row) for row in found[WARNING] if row["path"] not in paths]
    file = os.path.join(folder, f"rows-{shard:05d}-of-{shards:05d}.jsonl")
    write_lines(file, (json.dumps({"outcome": outcome, **row}) for outcome, row in settled))
    for outcome, row in settled:
        yield (outcome, row["reason"]), (row["path"], row["class"], row.get("detail", ""))
