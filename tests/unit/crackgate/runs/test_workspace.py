import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from crackgate.runs.workspace import Workspace, WorkspaceBusyError, WorkspaceMovedError, WorkspaceUnusableError


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
        "import os, pathlib, signal, sys; from crackgate.runs.workspace import Workspace\n"
        "with Workspace(pathlib.Path(sys.argv[1])).locked(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9 and (tmp_path / ".lock").exists()
    with Workspace(tmp_path).locked():
        pass


def test_a_workspace_that_was_moved_or_copied_is_refused_until_its_path_leads_to_it_again(tmp_path: Path) -> None:
    made, moved = tmp_path / "mäde\r\nhere", tmp_path / "moved"
    with Workspace(made).locked():
        pass
    shutil.copytree(made, tmp_path / "copy")
    made.rename(moved)
    for other in (moved, tmp_path / "copy"):
        with (
            pytest.raises(WorkspaceMovedError, match="move it back, or link that path to it"),
            Workspace(other).locked(),
        ):
            pass
    made.symlink_to(moved)
    for path in (moved, made):
        with Workspace(path).locked():
            pass


@pytest.mark.parametrize("name", ["run[1]", "a*b", "what?"])
def test_a_path_that_reads_like_a_pattern_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    with (
        pytest.raises(WorkspaceUnusableError, match=r"without \[ \] \* \?: choose another"),
        Workspace(tmp_path / name).locked(),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_workspace_that_cannot_be_made_is_refused_by_the_path_that_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(WorkspaceUnusableError, match=r"file/inner.* cannot be written to: Not a directory"),
        Workspace(tmp_path / "file" / "inner").locked(),
    ):
        pass
