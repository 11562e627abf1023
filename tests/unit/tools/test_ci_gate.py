"""tools/ci/gate.sh, the job of a CI system, where the input is wrong; tests/end_to_end has it judge a model."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]


def test_wrong_input_leaves_no_results_of_an_earlier_job(tmp_path: Path) -> None:
    # Jenkins names its own folder WORKSPACE, and other tools keep runs/, too.
    earlier = [tmp_path / "my results" / "gates.xml", tmp_path / "checkout" / "runs" / "1" / "gates.xml"]
    for file in earlier:
        file.parent.mkdir(parents=True)
        file.write_text("passed")
    places = {"MODEL": str(tmp_path), "DATA": str(tmp_path), "RESULTS": str(earlier[0].parent), "TMPDIR": str(tmp_path)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, **places, "WORKSPACE": str(tmp_path / "checkout"), "PATH": path}
    script = [str(PROJECT / "tools/ci/gate.sh")]
    ended = subprocess.run(script, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2 and "error: " in ended.stderr, ended.stdout + ended.stderr
    assert [file.exists() for file in earlier] == [False, True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkout", "my results"], "nothing is left behind"


def test_make_takes_no_folder_of_the_job_for_its_own() -> None:
    environment = {**os.environ, "WORKSPACE": "/checkout"}
    said = subprocess.run(
        ["make", "-n", "clean"], env=environment, cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert "rm -rf" in said.stdout and "/checkout" not in said.stdout
