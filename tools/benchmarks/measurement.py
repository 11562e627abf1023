"""Measurements in separate processes, and the tables that show them."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
# Python's arguments that start the command line, which is no module.
CRACKGATE = ("-c", "from crackgate_cli.main import main; main()")


class FinishedProcess(NamedTuple):
    """A finished process and its children.

    `seconds` is wall-clock time, `cpu_seconds` that of all cores. `peak_megabytes` belongs to the largest process.
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
    """Returns the environment of a Python process that imports this project."""
    return {**os.environ, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "2"}


def run_python(*arguments: object, allowed: tuple[int, ...] = (0,)) -> FinishedProcess:
    """Runs Python to its end; the arguments become strings.

    It raises SystemExit, with the end of the output, for an exit code that is not `allowed`.
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
    """Calls a function in a new process, imports included; `result` has its return value.

    `name` is a function in this folder, such as `ingest.measure`. Arguments must fit JSON; paths become strings. A
    failure raises SystemExit.
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
        """Prints a row; a string takes only the width of its column's format."""
        print(" ".join(map(_cell, cells, self._formats)), flush=True)


def _cell(value: object, form: str) -> str:
    return format(value, form.partition(".")[0] if isinstance(value, str) else form)
