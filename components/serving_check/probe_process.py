"""The process that asks the model: started when it is needed, or ahead, so that TensorFlow is imported by then."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from crackgate.source_digest import PACKAGES


class ProbeProcess:
    """An interpreter with TensorFlow and no plan yet.

    It waits for one on a pipe, which is closed where this process ends, however it does: it then ends, too.
    """

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
        """Whether it cannot be given a plan any more."""
        return self._process.poll() is not None

    def work(self, plan: dict[str, Any], seconds: float) -> tuple[int, bytes]:
        """Gives it the plan and waits for its end.

        Args:
            plan: See `executor`.
            seconds: For the whole plan.

        Returns:
            Exit code, as `subprocess` gives it, and standard error.

        Raises:
            subprocess.TimeoutExpired: It takes longer.
        """
        _, said = self._process.communicate(json.dumps(plan).encode(), seconds)
        return self._process.returncode, said


_ahead: list[ProbeProcess] = []


@contextmanager
def started_ahead() -> Iterator[Callable[[], None]]:
    """Gives a function that starts a process for the next check of this interpreter.

    A process that no check has taken ends with the block.
    """
    try:
        yield lambda: _ahead.append(ProbeProcess())
    finally:
        while _ahead:
            with _ahead.pop():
                pass


def take_process() -> ProbeProcess:
    """Returns the process that was started ahead, or else a new one; the caller leaves it as a context."""
    while _ahead:
        process = _ahead.pop()
        # A machine short of memory may have killed it.
        if not process.has_ended:
            return process
        with process:
            pass
    return ProbeProcess()
