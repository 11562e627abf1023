import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crackgate_cli.main import app


@pytest.mark.parametrize("folder", ["new", ".", "empty"])
def test_photographs_go_into_a_new_folder_or_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    here = tmp_path / "here"
    (here if folder == "." else here / "empty").mkdir(parents=True)
    monkeypatch.chdir(here)
    before = os.stat(here)
    ran = CliRunner().invoke(app, ["sample-data", folder, "--count", "4"])
    assert ran.exit_code == 0 and f"4 images in {folder}" in ran.output
    assert os.path.samestat(before, os.stat("."))
    assert sorted(path.name for path in Path(folder).iterdir() if path.name != "empty") == ["Negative", "Positive"]
    assert len(list(Path(folder).glob("*/*.jpg"))) == 4
