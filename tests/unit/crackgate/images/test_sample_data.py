"""The synthetic photographs: reproducible, well formed, and told apart only by their cracks."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from crackgate.images import sample_data
from crackgate.images.sample_data import draw_photograph, write_sample_data


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Chance that a threshold orders a pair of one of each rightly, in whichever direction it works better."""
    wins = float(np.mean(positive[:, None] > negative[None, :]))
    return max(wins, 1 - wins)


def test_half_of_each_class_with_the_odd_one_sound(tmp_path: Path) -> None:
    write_sample_data(tmp_path, 5, size=32)
    assert sorted(_contents(tmp_path)) == [
        "Negative/00001.jpg",
        "Negative/00002.jpg",
        "Negative/00003.jpg",
        "Positive/00001.jpg",
        "Positive/00002.jpg",
    ]


def test_photographs_are_square_rgb_jpegs_of_227_pixels(tmp_path: Path) -> None:
    write_sample_data(tmp_path, 2)
    for path in tmp_path.rglob("*.jpg"):
        with Image.open(path) as photograph:
            assert (photograph.format, photograph.mode, photograph.size) == ("JPEG", "RGB", (227, 227))
            photograph.load()


def test_reports_each_file_once_it_is_complete(tmp_path: Path) -> None:
    written: dict[Path, bytes] = {}
    write_sample_data(tmp_path, 4, size=32, on_written=lambda path: written.update({path: path.read_bytes()}))
    assert {path.relative_to(tmp_path).as_posix(): data for path, data in written.items()} == _contents(tmp_path)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**63), st.integers(2, 5), st.integers(0, 4), st.integers(32, 64))
def test_a_larger_count_extends_the_same_files(seed: int, count: int, more: int, size: int) -> None:
    with TemporaryDirectory() as smaller, TemporaryDirectory() as larger:
        write_sample_data(Path(smaller), count, seed, size)
        write_sample_data(Path(larger), count + more, seed, size)
        first, all_files = _contents(Path(smaller)), _contents(Path(larger))
    assert len(all_files) == count + more
    assert first == {name: all_files[name] for name in first}


def test_every_photograph_differs(tmp_path: Path) -> None:
    write_sample_data(tmp_path / "0", 6, seed=0, size=32)
    write_sample_data(tmp_path / "1", 6, seed=1, size=32)
    assert len(set(_contents(tmp_path).values())) == 12


@pytest.mark.parametrize(
    ("count", "seed", "size", "message"),
    [
        (1, 0, 32, "count is 1; it must be 2 or more"),
        (-3, 0, 32, "count is -3; it must be 2 or more"),
        (2, -1, 32, "seed is -1; it must be 0 or more"),
        (2, 0, 31, "size is 31 pixels; it must be 32 or more"),
    ],
)
def test_refuses_what_it_cannot_draw_and_writes_nothing(
    tmp_path: Path, count: int, seed: int, size: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_sample_data(tmp_path / "data", count, seed, size)
    assert not (tmp_path / "data").exists()


def test_a_single_photograph_has_a_smallest_size_too() -> None:
    with pytest.raises(ValueError, match="size is 8 pixels"):
        draw_photograph(True, np.random.default_rng(0), size=8)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.integers(32, 240))
def test_any_generator_state_gives_a_photograph(seed: int, cracked: bool, size: int) -> None:
    photograph = draw_photograph(cracked, np.random.default_rng(seed), size)
    assert (photograph.mode, photograph.size) == ("RGB", (size, size))
    assert np.asarray(photograph).std() > 1


def test_every_crack_darkens_a_visible_line_across_plain_concrete() -> None:
    for seed in range(200):
        surface = np.full((3, 96, 96), 180, np.float32)
        sample_data._crack(surface, np.random.default_rng(seed), np.array([1.0, 0.0]))
        dark_rows, dark_columns = np.nonzero(surface[0] < 150)
        assert max(np.ptp(dark_rows), np.ptp(dark_columns)) > 10, f"seed {seed}"
        assert dark_rows.size < 96 * 96 / 3, f"seed {seed}"


def test_neither_brightness_nor_contrast_gives_the_class_away() -> None:
    def statistics(cracked: bool) -> np.ndarray:
        photographs = [draw_photograph(cracked, np.random.default_rng([7, cracked, n]), 96) for n in range(150)]
        return np.array([(pixels.mean(), pixels.std()) for pixels in map(np.asarray, photographs)])

    positive, negative = statistics(True), statistics(False)
    assert _auc(positive[:, 0], negative[:, 0]) < 0.75
    assert _auc(positive[:, 1], negative[:, 1]) < 0.75
