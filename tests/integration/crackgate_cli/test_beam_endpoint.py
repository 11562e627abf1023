"""A Beam job server that is not there ends every command that would use it, in one line and before any work."""

from pathlib import Path

import pytest

from tests.helpers.asking import newest
from tests.helpers.command import crackgate


@pytest.mark.parametrize("command", ["run", "gate", "predict"])
def test_a_missing_job_server_is_one_line(command: str, serving_dir: Path, photographs: Path, tmp_path: Path) -> None:
    model, output = serving_dir / str(newest(serving_dir)), tmp_path / "new"
    arguments = {
        "run": ["--data", photographs, "--workspace", output],
        "gate": ["--data", photographs, "--workspace", output, "--model", model],
        "predict": [photographs, "--model", model, "--beam", "--output", output],
    }[command]
    flink = ["--set", "beam.profile=flink", "--set", "beam.job_endpoint=localhost:1"]
    ended = crackgate(command, *arguments, *flink, timeout=60)
    assert ended.returncode == 2
    (line,) = (line for line in (ended.stdout + ended.stderr).splitlines() if not line.startswith("note:"))
    assert line.startswith("error: beam.job_endpoint: no Beam job server answers at 'localhost:1'")
    assert not output.exists()
