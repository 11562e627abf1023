import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.workspace import Workspace, WorkspaceBusyError


def test_run_folders_are_made_and_never_shared(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folders = [workspace.create_run_folder() for _ in range(5)]
    assert len(set(folders)) == 5 and all(folder.is_dir() and folder.parent == workspace.runs for folder in folders)


def test_the_lock_keeps_a_second_holder_out_and_ends_with_the_first(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "new")
    with workspace.locked(), pytest.raises(WorkspaceBusyError, match="another run is using"), workspace.locked():
        pass
    with workspace.locked():
        pass


def test_the_lock_of_a_killed_process_is_gone(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal, sys; from pipeline.workspace import Workspace\n"
        "with Workspace(pathlib.Path(sys.argv[1])).locked(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9 and (tmp_path / ".lock").exists()
    with Workspace(tmp_path).locked():
        pass
