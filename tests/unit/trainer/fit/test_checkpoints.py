"""Checkpoints: whole or absent, kept for the same training only, and never in anybody's way."""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.fit.checkpoints import Checkpoint, Saved, checkpoint_folder, training_digest

SAVED = Saved(
    variables=[np.arange(12, dtype=np.float32).reshape(3, 4), np.array([1, 2], np.uint32), np.float32(0.5)],
    best_weights=[np.arange(12, dtype=np.float32).reshape(3, 4) + 1],
    history={"loss": [0.5, 0.1], "accuracy": [0.5, 0.75], "val_loss": [0.7, 0.30000001], "val_accuracy": [0.5, 1.0]},
)


def _same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a, b) and np.asarray(a).dtype == b.dtype for a, b in zip(one, other, strict=True)
    )


def test_gives_back_what_was_saved_last(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "new" / "head.npz")
    assert checkpoint.load() is None
    checkpoint.save(Saved([np.zeros(3)], [np.zeros(3)], {"loss": [1.0]}))
    checkpoint.save(SAVED)
    loaded = checkpoint.load()
    assert loaded is not None
    assert _same(SAVED.variables, loaded.variables)
    assert _same(SAVED.best_weights, loaded.best_weights)
    assert loaded.history == SAVED.history
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["head.npz"]


def test_many_variables_keep_their_order(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "head.npz")
    checkpoint.save(Saved([np.array(i) for i in range(1200)], [], {}))
    loaded = checkpoint.load()
    assert loaded is not None
    assert [int(variable) for variable in loaded.variables] == list(range(1200))


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_a_damaged_file_is_said_and_counts_as_none(
    keep: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "head.npz"
    checkpoint = Checkpoint(file)
    checkpoint.save(SAVED)
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content)) if keep < 1 else int(keep)])
    with caplog.at_level(logging.WARNING, logger="crackgate"):
        assert checkpoint.load() is None
    (message,) = (record.getMessage() for record in caplog.records)
    assert str(file) in message
    assert "starts again" in message


def test_what_is_read_only_is_not_written(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "head.npz", read_only=True).save(SAVED)
    assert list(tmp_path.iterdir()) == []


def test_the_digest_is_of_everything_that_decides_the_weights(tmp_path: Path) -> None:
    def digest(
        options: dict[str, Any], content: bytes = b"images", tuned: dict[str, Any] | None = None, folder: str = "a"
    ) -> str:
        file = tmp_path / folder / "examples.gz"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        config = {"options": options, "work_dir": str(tmp_path / folder)}
        return training_digest(config, tuned, [str(tmp_path / folder / "*")])

    first = digest({"seed": 1})
    # Another attempt may find the same images and the work folder somewhere else.
    assert digest({"seed": 1}, folder="b") == first
    others = [digest({"seed": 2}), digest({"seed": 1}, b"other"), digest({"seed": 1}, tuned={"values": {"seed": 3}})]
    assert len({first, *others}) == 4


def test_a_folder_is_kept_by_a_failure_and_removed_by_success(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), checkpoint_folder(tmp_path, "digest", owner=True) as folder:
        (folder / "head.npz").write_bytes(b"epoch")
        raise KeyboardInterrupt
    with checkpoint_folder(tmp_path, "digest", owner=False) as folder:
        pass
    with checkpoint_folder(tmp_path, "digest", owner=True) as folder:
        assert (folder / "head.npz").read_bytes() == b"epoch"
    assert list(tmp_path.iterdir()) == []


def test_of_other_trainings_the_last_three_stay(tmp_path: Path) -> None:
    for age in range(6):
        folder = tmp_path / f"age-{age}"
        folder.mkdir()
        os.utime(folder, (1_000_000 - age, 1_000_000 - age))
    with checkpoint_folder(tmp_path, "age-5", owner=True):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["age-0", "age-1", "age-2", "age-5"]
