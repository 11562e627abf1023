"""A release from Python, in a few lines."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import crackgate
from tests.helpers.asking import DARK, LIGHT, newest


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    contents = {"dark.png": DARK, "light.png": LIGHT, "none.png": b"no image"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [*(folder / name for name in contents), folder / "missing.png"]


def check_rows(model: "crackgate.ReleasedModel", files: list[Path]) -> None:
    rows = list(model.predict(files))
    assert [row.image for row in rows] == list(map(str, files))
    assert [row.answer.label for row in rows] == ["Positive", "Negative", "", ""]
    assert [row.answer.is_positive for row in rows] == [True, False, True, True]
    assert [bool(row.answer.error) for row in rows] == [False, False, True, True]


def test_a_workspace_a_serving_directory_and_a_version_are_loaded(serving_dir: Path, files: list[Path]) -> None:
    version = serving_dir / str(newest(serving_dir))
    for folder in (serving_dir.parent, serving_dir, version, str(version)):
        model = crackgate.load(folder)
        assert model.version == version.name and model.engine == "OpenVINO"
        check_rows(model, files)
    check_rows(crackgate.load(version, engine="tensorflow"), files)


def test_any_iterable_of_paths_is_scored_as_it_comes(serving_dir: Path, files: list[Path]) -> None:
    model = crackgate.load(serving_dir)
    rows = model.predict(str(files[number % 2]) for number in range(150))
    assert [next(rows).answer.label for _ in range(4)] == ["Positive", "Negative"] * 2
    assert len(list(rows)) == 146
    assert list(model.predict([])) == []


def test_one_path_is_no_list_of_paths(serving_dir: Path, files: list[Path]) -> None:
    model = crackgate.load(serving_dir)
    for path in (files[0], str(files[0])):
        with pytest.raises(TypeError, match="give a list of paths"):
            model.predict(path)


def test_what_is_no_release_and_no_engine_is_refused(serving_dir: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match=re.escape(f"{str(folder)!r} holds no released version: give")):
            crackgate.load(folder)
    with pytest.raises(ValueError, match="engine: received 'onnx', allowed are 'fastest' and 'tensorflow'"):
        crackgate.load(serving_dir, engine="onnx")


def test_the_import_alone_is_light_and_predicting_takes_no_tensorflow(serving_dir: Path, files: list[Path]) -> None:
    program = (
        "import sys, crackgate\n"
        "assert 'numpy' not in sys.modules\n"
        "labels = [row.answer.label for row in crackgate.load(sys.argv[1]).predict(sys.argv[2:])]\n"
        "assert labels == ['Positive', 'Negative'], labels\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    command = [sys.executable, "-c", program, serving_dir, *files[:2]]
    root = Path(__file__).parents[3]
    subprocess.run(list(map(str, command)), check=True, env={**os.environ, "PYTHONPATH": str(root)})
