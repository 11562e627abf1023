"""Processes that read images beside this one, on idle cores; Python's threads would wait for each other.

Each is started ahead, since it imports TensorFlow for seconds. It writes whole staging files, as this process would.
This process reads what an ended one leaves.
"""

import logging
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import TYPE_CHECKING

from crackgate.data_set.data_set import ListedImage

if TYPE_CHECKING:
    from components.image_example_gen.staged_examples import Reader, Staged

# It reads one while the other waits, so that it need not wait for this process.
_GIVEN_AT_ONCE = 2
_SECONDS_TO_END = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """Files to read, and the staging file to write."""

    reader: "Reader"
    number: int
    images: list[ListedImage]
    file: str


class ReaderProcess:
    """One process, until `end`."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            # Its own group keeps Ctrl-C to this process; the pipe tells the other one of its end.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "components.image_example_gen.reader_process", str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        self._ready = self._ended = False
        self._given: deque[Batch] = deque()

    def has_room(self) -> bool:
        """Whether it can take a batch; False during its imports."""
        return self._ready and not self._ended and len(self._given) < _GIVEN_AT_ONCE

    def give(self, batch: Batch) -> bool:
        """Gives it a batch to read; False if it has ended."""
        try:
            self._connection.send(batch)
        except OSError as error:
            self._note_end(error)
            return False
        self._given.append(batch)
        return True

    def finished(self) -> "Iterator[Staged]":
        """Batches finished since the last call."""
        while not self._ended and self._has_answered():
            yield from self._receive()

    def finish(self) -> "Iterator[Staged]":
        """Waits for all its batches, and ends it."""
        while self._given and not self._ended:
            yield from self._receive()
        self.end()

    def left(self) -> list[Batch]:
        """Batches that it ended without finishing."""
        return list(self._given)

    def end(self) -> None:
        """Ends the process at once."""
        self._ended = True
        self._connection.close()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _has_answered(self) -> bool:
        try:
            return self._connection.poll()
        except OSError as error:
            self._note_end(error)
            return False

    def _receive(self) -> "Iterator[Staged]":
        try:
            staged: Staged | None = self._connection.recv()
        except (EOFError, OSError) as error:
            self._note_end(error)
            return
        if staged is None:
            self._ready = True
            return
        self._given.popleft()
        yield staged

    def _note_end(self, error: Exception) -> None:
        self._ended = True
        log.warning("a reader process has ended (%r): this process reads its images", error)


_started: list[ReaderProcess] = []


@contextmanager
def reader_processes(count: int) -> Iterator[list[ReaderProcess]]:
    """Starts reader processes for the block's first ingest; they end with the ingest or the block."""
    processes = [ReaderProcess() for _ in range(count)]
    _started[:] = processes
    try:
        yield processes
    finally:
        _started.clear()
        for process in processes:
            process.end()


def take_reader_processes() -> list[ReaderProcess]:
    """The started reader processes, which the caller owns from now on."""
    taken = _started[:]
    _started.clear()
    return taken
