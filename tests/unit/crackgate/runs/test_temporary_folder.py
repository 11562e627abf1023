"""Temporary files of runs, in processes of their own that end or are killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_RUN = """
import multiprocessing, os, signal, subprocess, sys, tempfile
from crackgate.runs.temporary_folder import take_temporary_folder
folder = take_temporary_folder()
assert folder == take_temporary_folder()
tempfile.mkstemp()
subprocess.run([sys.executable, "-c", "import tempfile; tempfile.mkdtemp()"], check=True)
with multiprocessing.get_context("forkserver").Manager() as manager:
    assert list(manager.list([1])) == [1]
print(len(os.listdir(folder)), flush=True)
if "wait" in sys.argv:
    sys.stdin.read()
if "kill" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _start(tmp_path: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _RUN, *arguments],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _run(tmp_path: Path, *arguments: str) -> str:
    process = _start(tmp_path, *arguments)
    output, errors = process.communicate(timeout=60)
    assert errors == "", errors
    assert output.strip().isdecimal() and int(output) >= 2, "a file and a folder of another process are in it"
    return output


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("t")


@pytest.mark.parametrize("length", [0, 60])
def test_a_run_leaves_nothing_however_long_the_path_is(length: int, folder: Path) -> None:
    place = Path(str(folder).ljust(length, "x"))
    place.mkdir(exist_ok=True)
    _run(place)
    assert list(place.iterdir()) == []


def test_what_a_killed_run_left_goes_with_the_next_one_and_nothing_else(folder: Path) -> None:
    (folder / "another program's").touch()
    _run(folder, "kill")
    (left,) = folder.glob("crackgate-run-*")
    assert len(list(left.iterdir())) >= 2
    _run(folder)
    assert left.exists(), "it may be that of a run which has just begun"
    os.utime(left, (0, 0))
    (folder / "crackgate-run-linked").symlink_to(left)
    living = _start(folder, "wait")
    assert living.stdout is not None
    assert living.stdout.readline()
    assert not left.exists()
    (own,) = (path for path in folder.glob("crackgate-run-*") if not path.is_symlink())
    os.utime(own, (0, 0))
    _run(folder)
    assert own.exists(), "its run goes on"
    living.communicate(timeout=60)
    assert sorted(path.name for path in folder.iterdir()) == ["another program's", "crackgate-run-linked"]
