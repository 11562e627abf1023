"""Fixtures of several integration tests."""

from pathlib import Path

import pytest
from toy_release import export_toy


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model, not released yet."""
    folder = tmp_path_factory.mktemp("toy") / "model"
    export_toy(folder)
    return folder
