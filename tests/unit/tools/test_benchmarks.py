"""Tests of the code that benchmarks share: photographs, measurements in processes, tables."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.benchmarks.measurement import Table, run_function, run_python
from tools.benchmarks.photographs import find_photographs, gather


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder with two photographs of two classes."""
    folder = tmp_path / "photographs"
    for name in ("Negative", "Positive"):
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.full((8, 8, 3), 100, np.uint8)).save(folder / name / "one.jpg")
    return folder


def test_a_function_runs_in_a_process_of_its_own() -> None:
    finished = run_function("serving.quantiles", [0.001, 0.002, 0.003])
    assert finished.result == [2.0, 3.0]
    assert finished.cpu_seconds > 0 and finished.seconds > 0 and finished.peak_megabytes > 10


def test_a_process_that_fails_ends_the_benchmark_with_its_errors() -> None:
    with pytest.raises(SystemExit, match=r"ended with 1:(.|\n)*no such thing"):
        run_python("-c", "raise SystemExit('no such thing')")
    assert run_python("-c", "print(7); raise SystemExit(3)", allowed=(0, 3)).result == 7


def test_too_few_photographs_are_refused(photographs: Path) -> None:
    assert len(find_photographs(photographs)) == 2
    with pytest.raises(SystemExit, match=r"--photographs: found 2 JPEG files .*, 3 or more are needed: give a folder"):
        find_photographs(photographs, 3)


def test_noisy_copies_stand_in_where_there_are_too_few(photographs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gathered"
    gather(find_photographs(photographs), 6, folder)
    assert len(find_photographs(folder)) == 6
    assert len({file.read_bytes() for file in folder.glob("*/*")}) == 5


def test_columns_line_up_whatever_the_cells(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("images >8 | way <6 | of the loop >12.2f")
    table.add(1000, "loop", 1.0)
    table.add(7, "none", "")
    header, *rows = capsys.readouterr().out.splitlines()
    assert header == "  images way     of the loop"
    assert rows == ["    1000 loop           1.00", "       7 none               "]
