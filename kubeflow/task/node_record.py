"""The record that each task leaves in the run's folder for the report."""

import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from crackgate.atomic_files import write_text
from crackgate.contracts.account import Account
from crackgate.contracts.verdict import Verdict


class NodeRecord(BaseModel):
    """The latest attempt at a node or at `verdict`, counted from 1; a killed task's state stays "running".

    `began` is the first attempt's start in seconds since 1970. `seconds` is the latest attempt's duration, imports
    included, and `peak_memory` its most resident memory in bytes. `reasons` and `account` (ingest's counts) explain
    rejected data; `error` holds any other failure. `verdict` is what the task `verdict` found.
    """

    node: str
    attempt: int = 1
    began: float = Field(default_factory=time.time)
    state: Literal["running", "complete", "cached", "failed", "rejected"] = "running"
    seconds: float = 0
    peak_memory: int | None = None
    reasons: list[str] = Field(default_factory=list)
    account: Account | None = None
    error: str = ""
    verdict: Verdict | None = None

    @property
    def is_broken(self) -> bool:
        """Whether the attempt failed or fell silent, and the data was not at fault."""
        return self.state in ("failed", "running")

    def say_break(self) -> str:
        """Returns a sentence about a broken attempt."""
        if self.state == "failed":
            return f"{self.node}: {self.error}"
        return (
            f"{self.node}: attempt {self.attempt} began and was never heard of again: killed for its memory "
            f"(kubeflow.nodes.{self.node}.memory), stopped by its timeout, or its node was lost"
        )

    def write(self, folder: Path) -> None:
        """Writes the record into the run's folder of records."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / f"{self.node}.json", self.model_dump_json(indent=2))


def begin_record(folder: Path, node: str) -> NodeRecord:
    """Starts the record of an attempt, the first or a later one."""
    earlier = read_records(folder).get(node)
    record = NodeRecord(node=node)
    if earlier is not None:
        record.attempt, record.began = earlier.attempt + 1, earlier.began
    record.write(folder)
    return record


def read_records(folder: Path) -> dict[str, NodeRecord]:
    """Returns the records so far, by node."""
    records = [NodeRecord.model_validate_json(file.read_bytes()) for file in folder.glob("*.json")]
    return {record.node: record for record in records}
