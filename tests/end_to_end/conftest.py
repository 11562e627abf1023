"""What whole runs share: the photographs, and the workspace of the first run."""

from pathlib import Path

import pytest

from crackgate.images.sample_data import write_sample_data
from tests.helpers.command import PROJECT, Run, run_crackgate


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 generated photographs, Negative and Positive. Tests must leave them as they are."""
    folder = tmp_path_factory.mktemp("photographs")
    write_sample_data(folder, 240, size=96)
    return folder


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of the first, released run; later tests build on it."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="session")
def first_run(photographs: Path, workspace: Path) -> Run:
    """A run of everything, in an empty workspace."""
    return run_crackgate(photographs, workspace, cwd=PROJECT)
