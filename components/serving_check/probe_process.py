"""The probe's process, started on demand, or ahead to import TensorFlow in time."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from crackgate.source_digest import PACKAGES


class ProbeProcess:
    """An interpreter with TensorFlow that waits for a plan; it ends when this process does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            # A model server has none of the project's packages.
            [sys.executable, "-I", str(Path(__file__).with_name("probe.py")), *PACKAGES],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()

    @property
    def has_ended(self) -> bool:
        """Whether it can no longer take a plan."""
        return self._process.poll() is not None

    def work(self, plan: dict[str, Any], seconds: float) -> tuple[int, bytes]:
        """Gives it the plan (see `executor`) and waits; returns exit code, as from `subprocess`, and standard error.

        Raises subprocess.TimeoutExpired after `seconds` for the whole plan.
        """
        _, said = self._process.communicate(json.dumps(plan).encode(), seconds)
        return self._process.returncode, said


_ahead: list[ProbeProcess] = []


@contextmanager
def started_ahead() -> Iterator[Callable[[], None]]:
    """Gives a function that starts a process for the next check; an unused one ends with the block."""
    try:
        yield lambda: _ahead.append(ProbeProcess())
    finally:
        while _ahead:
            with _ahead.pop():
                pass


def take_process() -> ProbeProcess:
    """Returns the process that was started ahead, or a new one, as a context to leave."""
    while _ahead:
        process = _ahead.pop()
        # A machine short of memory may have killed it.
        if not process.has_ended:
            return process
        with process:
            pass
    return ProbeProcess()
