"""`crackgate doctor`: what the machine has, and what is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crackgate.machine import Equipment, list_equipment
from crackgate_cli.main import app


def _parts(workspace: Path) -> dict[str, Equipment]:
    return {each.name: each for each in list_equipment(workspace)}


def test_a_machine_that_runs_the_tests_has_what_is_required(tmp_path: Path) -> None:
    parts = _parts(tmp_path / "not" / "yet")
    assert {each.name for each in parts.values() if each.is_required and not each.is_there} == set()
    assert "tensorflow 2." in parts["packages"].found and "GiB" in parts["memory"].found
    assert str(tmp_path) in parts["disk"].found
    ended = CliRunner().invoke(app, ["doctor", "--workspace", str(tmp_path)])
    assert ended.exit_code == 0 and "ServingCheck" in ended.stdout
    assert {row["name"] for row in json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)} == parts.keys()


def test_a_workspace_that_cannot_be_written_to_is_missing_its_disk() -> None:
    place = "/proc/nowhere"  # where nobody, the superuser included, can write
    assert not _parts(Path(place))["disk"].is_there
    ended = CliRunner().invoke(app, ["doctor", "--workspace", place])
    assert ended.exit_code == 1 and "error: disk: make room, or choose another --workspace" in ended.stderr


@pytest.mark.parametrize("place", ["file", "file/below", "x" * 300], ids=["file", "below-a-file", "long-name"])
def test_no_workspace_can_be_made_there(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    assert not _parts(tmp_path / place)["disk"].is_there and _parts(tmp_path / "new")["disk"].is_there


def test_a_machine_without_room_for_temporary_files_is_told_so() -> None:
    # No file may hold a byte: what Python tries first in each folder fails.
    command = f'ulimit -f 0; exec "{Path(sys.executable).with_name("crackgate")}" doctor'
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "error: temporary files: make room, or choose a TMPDIR with room" in ended.stderr


def test_programs_are_asked_for_their_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, line in (("java", "echo 'openjdk 17' >&2"), ("tensorflow_model_server", "exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", os.pathsep.join((str(tmp_path), "/bin")))
    parts = _parts(tmp_path)
    assert parts["Java"].is_there and parts["Java"].found == "openjdk 17"
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "none"))
    assert not _parts(tmp_path)["Java"].is_there, "make flink-up would not find it, either"
    assert not parts["model server"].is_there and not parts["model server"].is_required
