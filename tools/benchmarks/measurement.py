"""Measurements in processes of their own, and the tables that show them."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
# Arguments of Python that start the command line, which is no module to run.
CRACKGATE = ("-c", "from crackgate_cli.main import main; main()")


class FinishedProcess(NamedTuple):
    """A finished process and its children.

    Attributes:
        seconds: Wall-clock time.
        cpu_seconds: CPU time of all cores. Other work on the machine changes it least.
        peak_megabytes: Peak memory of the largest process.
        output: Standard output.
    """

    seconds: float
    cpu_seconds: float
    peak_megabytes: float
    output: str

    @property
    def result(self) -> Any:
        """The JSON in the last line of the output."""
        return json.loads(self.output.splitlines()[-1])


def python_environment() -> dict[str, str]:
    """The environment of a Python process that imports this project."""
    return {**os.environ, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "2"}


def run_python(*arguments: object, allowed: tuple[int, ...] = (0,)) -> FinishedProcess:
    """Runs Python to its end.

    Args:
        arguments: Python's, each turned into a string.
        allowed: Exit codes.

    Raises:
        SystemExit: The process ended with another exit code; the message has the end of its output.
    """
    command = [sys.executable, *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=python_environment(), stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        for stream in (output, errors):
            stream.seek(0)
        if process.returncode not in allowed:
            sys.exit(f"{command} ended with {process.returncode}:\n{output.read()[-2000:]}\n{errors.read()[-4000:]}")
        return FinishedProcess(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output.read())


def run_function(name: str, *arguments: object) -> FinishedProcess:
    """Calls a function in a new process, imports included; `result` has what it returned.

    Args:
        name: Name of a function in this folder, such as `ingest.measure`.
        arguments: As JSON can hold them; paths become strings.

    Raises:
        SystemExit: The function failed.
    """
    module, _, function = name.rpartition(".")
    program = (
        f"import json, sys; from tools.benchmarks.{module} import {function} as run; "
        "print(json.dumps(run(*json.loads(sys.argv[1]))))"
    )
    return run_python("-c", program, json.dumps(arguments, default=str))


class Table:
    """Prints rows under a header, as they come."""

    def __init__(self, columns: str):
        """Prints the header of columns like `images >8 | images/s >9.1f`: a title, and a format that has a width."""
        titles, _, self._formats = zip(*(column.strip().rpartition(" ") for column in columns.split("|")), strict=True)
        self.add(*titles)

    def add(self, *cells: object) -> None:
        """Prints a row; strings are shown as they are, whatever the column's format."""
        print(" ".join(map(_cell, cells, self._formats)), flush=True)


def _cell(value: object, form: str) -> str:
    return format(value, form.partition(".")[0] if isinstance(value, str) else form)
