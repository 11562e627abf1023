"""Processes that help this one to read images, on the cores that it leaves idle.

Threads would not do: most of the work on a small photograph is many short steps, between which Python's threads wait
for each other longer than the steps take. A process needs seconds to import TensorFlow, so it is started well ahead,
beside other imports. It takes whole batches and writes their staging files; what comes of a batch is the same wherever
it is read.

A helper that ends, for whatever reason, costs nothing but time: what it was at is read by this process.
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

if TYPE_CHECKING:
    from components.image_example_gen.staged_examples import Reader, Staged

# One that it reads, and one that waits: it need not wait for this process, which is busy with a batch of its own.
_GIVEN_AT_ONCE = 2
_SECONDS_TO_END = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """Some files to read.

    Attributes:
        reader: Reads them.
        number: Of the batch.
        paths: Below the data folder.
        file: Staging file to write.
    """

    reader: "Reader"
    number: int
    paths: list[bytes]
    file: str


class Helper:
    """One process, from its start to `end`."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            # A group of its own: Ctrl-C is this process's business, whose end the helper sees by the pipe.
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
        """Whether it has done its imports and can be given a batch."""
        return self._ready and not self._ended and len(self._given) < _GIVEN_AT_ONCE

    def give(self, batch: Batch) -> bool:
        """Has it read a batch; False if it has ended."""
        try:
            self._connection.send(batch)
        except OSError as error:
            self._note_end(error)
            return False
        self._given.append(batch)
        return True

    def finished(self) -> "Iterator[Staged]":
        """What it has finished since it was last asked."""
        while not self._ended and self._has_answered():
            yield from self._receive()

    def finish(self) -> "Iterator[Staged]":
        """Waits for all that it was given, and ends it."""
        while self._given and not self._ended:
            yield from self._receive()
        self.end()

    def left(self) -> list[Batch]:
        """Of one that has ended: what it was given and did not finish."""
        return list(self._given)

    def end(self) -> None:
        """Ends the process, whatever it is at."""
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
        log.warning("a process that helped to read images has ended (%r): this one reads on alone", error)


_helpers: list[Helper] = []


@contextmanager
def started_helpers(count: int) -> Iterator[list[Helper]]:
    """Starts helpers for the first ingest in the block, in this process; they end with it or with the block."""
    helpers = [Helper() for _ in range(count)]
    _helpers[:] = helpers
    try:
        yield helpers
    finally:
        _helpers.clear()
        for helper in helpers:
            helper.end()


def take_helpers() -> list[Helper]:
    """The helpers of this process, which from now on are the caller's; none where none were started, or left."""
    taken = _helpers[:]
    _helpers.clear()
    return taken
