"""LeakCheck, run by TFX's launcher: copies in two splits stop the run, however they came there."""

import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.image_example_gen.component import ImageExampleGen
from components.leak_check.component import LeakCheck
from crackgate.config.data import DataOptions, SplitRatios
from crackgate.contracts import stored_example
from crackgate.contracts.errors import DataRejectedError
from crackgate.images.sample_data import draw_photograph

if TYPE_CHECKING:
    from conftest import Bench
    from tfx.dsl.components.base.base_component import BaseComponent

Examples = dict[str, list[tf.train.Example]]

MIRRORED = 10
# Bytes that are no UTF-8, and a line break: what is said of them must fit on a terminal's line.
ODD_NAME = b"Positive/odd \xe9\n.png"


def _components(
    folder: Path, group_by: str = "", copies: Literal["group", "ignore"] = "group"
) -> "list[BaseComponent]":
    example_gen = ImageExampleGen(
        folder,
        ["Negative", "Positive"],
        DataOptions(
            split=SplitRatios(train=1, eval=1, test=1),
            max_rejected_share=0.0,
            max_imbalance=1.0,
            group_by=group_by,
            copies=copies,
        ),
    )
    return [example_gen, LeakCheck(examples=example_gen.outputs["examples"], copies=copies)]


def _bytes(example: tf.train.Example, name: str) -> bytes:
    (value,) = example.features.feature[name].bytes_list.value
    return bytes(value)


def _set(example: tf.train.Example, name: str, value: bytes) -> None:
    example.features.feature[name].bytes_list.value[:] = [value]


def _key(split: str, example: tf.train.Example) -> str:
    return f"{split}: {os.fsdecode(_bytes(example, stored_example.FILENAME))}"


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory, photographs: Path, new_bench: "Callable[..., Bench]") -> "Bench":
    """The photographs, of some a mirrored copy, one of them under an odd name, and three blank images, two of them
    identical; all of them ingested and found free of leaks."""
    folder = tmp_path_factory.mktemp("data")
    shutil.copytree(photographs, folder, dirs_exist_ok=True)
    for number in range(1, MIRRORED + 1):
        with Image.open(folder / "Positive" / f"{number:05d}.jpg") as photograph:
            ImageOps.mirror(photograph).save(folder / "Positive" / f"mirrored {number}.png")
    (folder / "Positive" / "mirrored 1.png").rename(folder / os.fsdecode(ODD_NAME))
    for name, grey in (("blank 1", 128), ("blank 2", 128), ("another blank", 200)):
        Image.new("L", (64, 64), grey).save(folder / "Negative" / f"{name}.png")
    bench = new_bench()
    bench.run(*_components(folder))
    return bench


@pytest.fixture
def stored(ingested: "Bench") -> Examples:
    """What is stored, to tamper with."""
    return copy.deepcopy(ingested.examples())


@pytest.fixture
def reasons(tmp_path: Path, new_bench: "Callable[..., Bench]") -> Callable[[Examples], list[str]]:
    """Has LeakCheck look at examples that were written here, and tells why it refuses them."""

    def look(examples: Examples) -> list[str]:
        bench = new_bench()
        for split, of_split in examples.items():
            (tmp_path / f"Split-{split}").mkdir()
            # Several files a split, as large data has.
            for number in range(2):
                file = tmp_path / f"Split-{split}" / f"data_tfrecord-0000{number}-of-00002.gz"
                with tf.io.TFRecordWriter(str(file), "GZIP") as writer:
                    for example in of_split[number::2]:
                        writer.write(example.SerializeToString())
        importer = tfx.dsl.Importer(
            source_uri=str(tmp_path),
            artifact_type=standard_artifacts.Examples,
            properties={"split_names": json.dumps(list(examples))},
        ).with_id("Importer")
        with pytest.raises(DataRejectedError) as caught:
            bench.run(importer, LeakCheck(examples=importer.outputs["result"], copies="group"))
        assert bench.states("LeakCheck") == ["FAILED"]
        assert str(caught.value).isprintable()
        return caught.value.reasons

    return look


def _move(examples: Examples, path: bytes) -> tuple[str, str]:
    """Moves an image to another split and another group; returns the two splits."""
    ((source, example),) = [
        (split, example)
        for split, of_split in examples.items()
        for example in of_split
        if _bytes(example, stored_example.FILENAME) == path
    ]
    target = next(split for split in examples if split != source)
    examples[source].remove(example)
    _set(example, stored_example.GROUP, b"another group")
    examples[target].append(example)
    return source, target


def _count(reason: str) -> int:
    """The number in "pairs of copies in two splits: 3, of which ..."."""
    return int(reason.partition(": ")[2].partition(",")[0])


def _said(one: str, other: str) -> str:
    """As LeakCheck names them, the split that comes first in the alphabet first."""
    first, second = sorted((one, other))
    return f"{first!r} is a copy of {second!r}"


def test_what_ingest_has_split_passes_and_every_pair_of_copies_is_counted(ingested: "Bench") -> None:
    assert ingested.states("LeakCheck") == ["COMPLETE"]
    blank = 1
    assert ingested.json_output("LeakCheck", "findings") == {
        "pairs": MIRRORED + blank,
        "leaks": 0,
        "examples": [],
        "groups_in_two_splits": 0,
        "overlaps": 0,
        "overlap_examples": [],
    }


def test_overlaps_across_given_splits_are_named_and_stop_nothing(
    tmp_path: Path, new_bench: "Callable[..., Bench]"
) -> None:
    """Four frames of a walk go to train, eval, test and train: each overlaps with its neighbours only."""
    for label, name in enumerate(("Negative", "Positive")):
        for seed, split in enumerate(("train", "eval", "test")):
            (tmp_path / split / name).mkdir(parents=True)
            photograph = draw_photograph(bool(label), np.random.default_rng([7, label, seed]), 128)
            photograph.save(tmp_path / split / name / "another place.png")
    wall = draw_photograph(False, np.random.default_rng(11), 512)
    for number, split in enumerate(("train", "eval", "test", "train")):
        frame = wall.crop((100 * number, 100, 100 * number + 200, 300))
        frame.save(tmp_path / split / "Negative" / f"walk_{number}.png")
    bench = new_bench()
    bench.run(*_components(tmp_path))
    findings = bench.json_output("LeakCheck", "findings")
    assert findings["overlaps"] == 3 and findings["leaks"] == 0
    assert findings["overlap_examples"] == [
        ["eval: eval/Negative/walk_1.png", "test: test/Negative/walk_2.png"],
        ["eval: eval/Negative/walk_1.png", "train: train/Negative/walk_0.png"],
        ["test: test/Negative/walk_2.png", "train: train/Negative/walk_3.png"],
    ]


@pytest.mark.parametrize(
    ("moved", "original", "shown"),
    [
        (b"Positive/mirrored 2.png", "Positive/00002.jpg", "Positive/mirrored 2.png"),
        (ODD_NAME, "Positive/00001.jpg", "Positive/odd \\xe9\n.png"),
        (b"Negative/blank 2.png", "Negative/blank 1.png", "Negative/blank 2.png"),
    ],
)
def test_a_copy_in_another_split_stops_the_run_and_both_paths_are_named(
    stored: Examples, reasons: Callable[[Examples], list[str]], moved: bytes, original: str, shown: str
) -> None:
    source, target = _move(stored, moved)
    count, pair = reasons(stored)
    assert count.startswith("pairs of copies in two splits: 1, ") and "data.group_by" in count
    assert pair == _said(f"{source}: {original}", f"{target}: {shown}")


def test_a_group_in_two_splits_stops_the_run_without_any_copy(
    stored: Examples, reasons: Callable[[Examples], list[str]]
) -> None:
    for split in ("train", "test"):
        # Sound photographs have no copies, so each is a group by itself.
        example = next(one for one in stored[split] if _bytes(one, stored_example.FILENAME).startswith(b"Negative/0"))
        _set(example, stored_example.GROUP, b"one group")
    assert reasons(stored) == ["1 groups are in two splits: report this, it is a fault of crackgate"]


def test_of_many_leaks_all_are_counted_and_twenty_named(
    stored: Examples, reasons: Callable[[Examples], list[str]]
) -> None:
    photographs, blanks = [], []
    for example in (example for of_split in stored.values() for example in of_split):
        (blanks if b"blank" in _bytes(example, stored_example.FILENAME) else photographs).append(example)
    groups = {_bytes(example, stored_example.GROUP) for example in photographs}
    counted, *named, straddling = reasons({"train": photographs, "eval": blanks, "test": photographs})
    # Each photograph with itself, and its mirrored copy in one split with either of them in the other.
    assert _count(counted) >= len(photographs)
    assert len(named) == 20
    assert straddling == f"{len(groups)} groups are in two splits: report this, it is a fault of crackgate"


def test_copies_at_two_sites_stop_the_run_where_group_by_has_parted_them(
    tmp_path: Path, new_bench: "Callable[..., Bench]"
) -> None:
    for number in range(48):
        folder = tmp_path / ("Negative", "Positive")[number % 2] / f"site-{number // 2 % 8}"
        folder.mkdir(parents=True, exist_ok=True)
        photograph = draw_photograph(bool(number % 2), np.random.default_rng([7, number]), 64)
        photograph.save(folder / f"{number}.png")
        if number == 0:
            for site in range(1, 8):
                folder.with_name(f"site-{site}").mkdir()
                ImageOps.flip(photograph).save(folder.with_name(f"site-{site}") / "flipped.jpg", quality=70)
    bench = new_bench()
    with pytest.raises(DataRejectedError) as caught:
        bench.run(*_components(tmp_path, group_by=r"site-\d"))
    assert bench.states("ImageExampleGen") == ["COMPLETE"]
    assert bench.states("LeakCheck") == ["FAILED"]
    # A pattern without a group names by all that it matches.
    assert {
        _bytes(example, stored_example.GROUP) for of_split in bench.examples().values() for example in of_split
    } == {b"site-%d" % site for site in range(8)}
    copies = sorted(
        (split, _key(split, example))
        for split, of_split in bench.examples().items()
        for example in of_split
        if _bytes(example, stored_example.FILENAME).endswith((b"/0.png", b"/flipped.jpg"))
    )
    assert len(copies) == 8
    possible = {_said(key, other_key) for split, key in copies for other, other_key in copies if split != other}
    count, *named = caught.value.reasons
    assert _count(count) == len(named) > 0
    assert set(named) <= possible


def test_copies_in_two_splits_are_only_counted_when_copies_are_ignored(
    tmp_path: Path, photographs: Path, new_bench: "Callable[..., Bench]"
) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    for number in range(1, MIRRORED + 1):
        with Image.open(tmp_path / "Positive" / f"{number:05d}.jpg") as photograph:
            ImageOps.mirror(photograph).save(tmp_path / "Negative" / f"mirrored {number}.png")
    bench = new_bench()
    bench.run(*_components(tmp_path, copies="ignore"))
    assert bench.json_output("ImageExampleGen", "account")["rejected"] == []
    assert bench.json_output("ImageExampleGen", "conflicts") == []
    findings = bench.json_output("LeakCheck", "findings")
    assert findings["pairs"] == MIRRORED
    assert 0 < findings["leaks"] < MIRRORED
