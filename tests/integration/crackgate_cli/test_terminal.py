"""`crackgate inspect` on a terminal: how far it is, and every line of output a line of its own."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.asking import newest

_PROGRAM = "from crackgate_cli.main import main; main()"
_SPINNER = re.compile(r"[\u2800-\u28ff]")


def test_inspect_says_how_far_it_is_and_its_lines_stand_alone(serving_dir: Path, tmp_path: Path) -> None:
    photographs = tmp_path / "bridge"
    photographs.mkdir()
    for number in range(2):
        Image.new("RGB", (300, 260), (20, 30, 40 + number)).save(photographs / f"{number}.jpg")
    model = serving_dir / str(newest(serving_dir))
    arguments = ("inspect", photographs, "--model", model, "--output", tmp_path / "out", "--tile", "100")
    terminal, side = pty.openpty()
    started = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *map(str, arguments)],
        stdout=side,
        stderr=side,
        env={**os.environ, "COLUMNS": "200", "TERM": "xterm"},
    )
    os.close(side)
    said = _read(terminal)
    assert started.wait(60) == 0, said
    assert re.search(r"inspecting \.\.\. 1 of 2 photographs, \d+ s left", said)
    # What stands on a line when it ends: after the last time that the terminal erased it.
    lines = [re.split(r"\x1b\[[0-9;]*K", line)[-1].strip("\r") for line in said.split("\n")]
    results = [line for line in lines if f"{photographs}/" in line]
    assert len(results) == 2 and not any(_SPINNER.search(line) for line in results), results
    assert lines[-2].startswith("2 photographs: 2 with cracks, 0 not inspected: ")


def _read(terminal: int) -> str:
    """All that a program writes to a terminal until its end."""
    parts = []
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # the other side is closed
            part = b""
        if not part:
            os.close(terminal)
            return b"".join(parts).decode()
        parts.append(part)


@pytest.mark.parametrize("command", [["config", "show"], ["--version"], ["versions", "--serving", "."]], ids="-".join)
def test_a_full_disk_is_said_in_one_line(command: list[str]) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr == (
        "error: the output cannot be written: No space left on device; make room, or give another place for it\n"
    )


def test_an_error_that_nobody_reads_has_its_exit_code(tmp_path: Path) -> None:
    reader, unread = os.pipe()
    os.close(reader)
    with open("/dev/full", "w") as full:
        for stream in (full, unread):
            command = [sys.executable, "-c", _PROGRAM, "verify", "--serving", str(tmp_path / "none")]
            assert subprocess.run(command, stderr=stream, check=False).returncode == 2
    os.close(unread)


@pytest.mark.parametrize("command", ["versions", "runs", "verify", "prune", "rollback", "predict .", "sample-data"])
def test_a_path_that_no_file_can_have_is_said_in_one_line(command: str) -> None:
    name = "x" * 300
    arguments = [*command.split(), name] if command == "sample-data" else [*command.split(), "--workspace", name]
    ended = subprocess.run([sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode in (1, 2) and name in ended.stderr
    assert ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    ended = subprocess.run(
        ["sh", "-c", 'rmdir "$0" && exec "$@"', gone, sys.executable, "-c", _PROGRAM, "runs"],
        cwd=gone,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == "error: the current folder is no longer there: change to another one, or give whole paths\n"
