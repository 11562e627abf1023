"""ImageExampleGen with given splits, tables of labels, parts and a workspace among the photographs, run by TFX."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.image_example_gen.component import ImageExampleGen
from components.leak_check.component import LeakCheck
from crackgate.config.data import DataOptions
from crackgate.contracts import stored_example
from crackgate.contracts.errors import DataRejectedError
from crackgate.data_set.data_set import find_data_set
from tests.helpers.ingested import bytes_of, draw, paths_by_group, split_by_path

if TYPE_CHECKING:
    from conftest import Bench

OPTIONS = {"max_imbalance": 1.0, "split": {"train": 1, "eval": 1, "test": 1}}


def _example_gen(folder: Path, **changes: object) -> ImageExampleGen:
    options = DataOptions.model_validate(OPTIONS | changes)
    return ImageExampleGen(folder, find_data_set(folder, options).classes, options)


def _write(folder: Path, path: str, number: int) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    draw(number).save(folder / path)


def test_given_splits_are_kept_and_a_copy_across_them_is_named(
    tmp_path: Path, new_bench: "Callable[..., Bench]"
) -> None:
    folder = tmp_path / "data"
    number = 0
    for split, count in (("train", 4), ("valid", 2), ("test", 2)):
        for name in ("crack", "sound"):
            for _ in range(count):
                _write(folder, f"{split}/{name}/{number}.png", number)
                number += 1
    bench = new_bench()
    ingest = _example_gen(folder)
    bench.run(ingest, LeakCheck(examples=ingest.outputs["examples"], copies="group"))
    given = {"train": "train", "valid": "eval", "test": "test"}
    assert split_by_path(bench.examples()) == {
        str(path.relative_to(folder)): given[path.relative_to(folder).parts[0]] for path in folder.rglob("*.png")
    }
    shutil.copy(folder / "train/crack/0.png", folder / "test/crack/copy.png")
    ingest = _example_gen(folder)
    with pytest.raises(DataRejectedError) as rejection:
        bench.run(ingest, LeakCheck(examples=ingest.outputs["examples"], copies="group"))
    assert rejection.value.reasons[0].startswith("pairs of copies in two splits: 1,")
    assert rejection.value.reasons[1:] == ["'test: test/crack/copy.png' is a copy of 'train: train/crack/0.png'"]


def test_a_table_gives_labels_splits_and_groups_and_is_part_of_the_cache_key(
    tmp_path: Path, new_bench: "Callable[..., Bench]"
) -> None:
    folder, table = tmp_path / "data", tmp_path / "labels.csv"
    rows = ["path,label,split,group"]
    for number in range(24):
        _write(folder, f"day {number % 3}/{number}.png", number)
        split = "test" if number % 4 == 0 else "train"
        rows.append(f"day {number % 3}/{number}.png,{('crack', 'sound')[number // 12]},{split},{split} {number // 2}")
    _write(folder, "unlabelled.png", 99)
    table.write_text("\n".join(rows))
    bench = new_bench()
    bench.run(_example_gen(folder, labels=str(table)))
    splits = split_by_path(bench.examples())
    assert {path for path, split in splits.items() if split == "test"} == {
        f"day {number % 3}/{number}.png" for number in range(0, 24, 4)
    }
    assert set(splits.values()) == set(stored_example.SPLITS)
    assert b"train 3" in paths_by_group(bench.examples())
    labels = {
        bytes_of(example, stored_example.FILENAME): bytes_of(example, stored_example.CLASS_TEXT)
        for examples in bench.examples().values()
        for example in examples
    }
    assert (labels[b"day 2/11.png"], labels[b"day 0/12.png"]) == (b"crack", b"sound")
    account = bench.json_output("ImageExampleGen", "account")
    assert (account["found"], account["ignored"]) == (24, {"images without a label": 1})

    bench.run(_example_gen(folder, labels=str(table)))
    table.write_text(table.read_text().replace("11.png,crack", "11.png,sound"))
    bench.run(_example_gen(folder, labels=str(table)))
    assert bench.states("ImageExampleGen") == ["COMPLETE", "CACHED", "COMPLETE"]


def test_surfaces_are_stored_as_parts_and_a_workspace_among_the_photographs_changes_nothing(
    tmp_path: Path, new_bench: "Callable[..., Bench]"
) -> None:
    for number in range(40):
        part, label = "DW"[number % 2], "CU"[number // 20]
        _write(tmp_path, f"{part}/{label}{part}/{number}.png", number)
    classes = {"Cracked": ["CD", "CW"], "Sound": ["UD", "UW"]}
    bench = new_bench()
    bench.run(_example_gen(tmp_path, classes=classes))
    stored = [example for examples in bench.examples().values() for example in examples]
    assert {
        (bytes_of(example, stored_example.PART), bytes_of(example, stored_example.CLASS_TEXT)) for example in stored
    } == {(b"D", b"Cracked"), (b"D", b"Sound"), (b"W", b"Cracked"), (b"W", b"Sound")}

    # An ignored folder is counted, which changes the account once.
    for path in ("workspace/.lock", "workspace/runs/1/photo.jpg", "workspace/pipeline/1.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"1")
    bench.run(_example_gen(tmp_path, classes=classes))
    (tmp_path / "workspace/pipeline/2.png").write_bytes(b"2")
    bench.run(_example_gen(tmp_path, classes=classes))
    assert bench.states("ImageExampleGen") == ["COMPLETE", "COMPLETE", "CACHED"]
    assert bench.json_output("ImageExampleGen", "account")["ignored"] == {"folders of crackgate": 1}
