"""Tests of the code that benchmarks share: photographs, measurements in processes, tables."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.benchmarks.measurement import Table, run_function, run_python
from tools.benchmarks.photographs import find_photographs, gather
from tools.benchmarks.scale import ScaleRow, growth, simulate, table


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


def test_simulated_images_are_small_pictures_of_two_classes_no_two_alike(tmp_path: Path) -> None:
    simulate(30, tmp_path / "data")
    files = sorted((tmp_path / "data").glob("*/*/*.png"))
    assert [sum(file.parts[-3] == name for file in files) for name in ("Negative", "Positive")] == [15, 15]
    assert len({file.read_bytes() for file in files}) == 30
    assert max(file.stat().st_size for file in files) < 4_096


def test_simulated_images_that_the_disk_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--counts: 1,000,000,000,000 simulated images take 12,000,000 GB, and"):
        simulate(10**12, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_the_growth_and_the_speed_up_are_fitted() -> None:
    rows = [
        ScaleRow(
            kind="photographs",
            step="ingest",
            profile="flink",
            workers=workers,
            images=images,
            seconds=images / 500 / workers,
            megabytes=1_000 + images * 0.008,
        )
        for workers in (1, 2)
        for images in (10_000, 40_000)
    ]
    assert [line.split("|")[9].strip() for line in table(rows)[2:]] == ["", "2.00", "", "2.00"]
    assert growth(rows)[2] == "| photographs | ingest | flink | 1 | 1.00 | 0.0 | 2.00 | 1,000 | 8.0 |"
