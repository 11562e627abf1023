"""The list of labels to check: `data.labels` reads it back as the data set that it was made from."""

import csv
from pathlib import Path

import pytest

from crackgate.config.configuration import Config
from crackgate.config.data import DataOptions
from crackgate.contracts.account import LABEL_CONFLICT, AccountRow
from crackgate.contracts.doubtful_label import DoubtfulLabel, DoubtfulLabels
from crackgate.contracts.positive_names import PositiveClasses
from crackgate.data_set.data_set import DataSet, find_data_set
from crackgate.report.label_list import write_label_list
from crackgate.runs.summary import Images, Summary, begin_summary

DOUBT = DoubtfulLabel(path="Positive/2.jpg", split="eval", label="Positive", likely="Negative", score=0.987)


def _touch(data: Path, *paths: str) -> Path:
    for path in paths:
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_bytes(b"picture")
    return data


def _summary(data: Path, *doubts: DoubtfulLabel) -> Summary:
    summary = begin_summary("id", data, [], PositiveClasses(), Config(), data)
    summary.doubtful_labels = DoubtfulLabels(judged=10, found=list(doubts))
    return summary


def _read_back(data: Path, file: Path, **options: object) -> DataSet:
    return find_data_set(data, DataOptions.model_validate({"labels": str(file), **options}))


LAYOUTS = {
    "classes": (("Negative/1.jpg", "Positive/2.jpg", "Positive/3.jpg"), {}),
    "splits": (("train/Negative/1.jpg", "train/Positive/2.jpg", "test/Negative/3.jpg", "test/Positive/4.jpg"), {}),
    "folders of each class": (
        ("CD/1.jpg", "CP/2.jpg", "UD/3.jpg"),
        {"classes": {"Cracked": ("CD", "CP"), "Sound": ("UD",)}},
    ),
}


@pytest.mark.parametrize(("paths", "options"), LAYOUTS.values(), ids=LAYOUTS)
def test_the_list_is_read_back_as_it_was(tmp_path: Path, paths: tuple[str, ...], options: dict[str, object]) -> None:
    data, file = _touch(tmp_path / "data", *paths), tmp_path / "labels.csv"
    found = DataOptions.model_validate(options)
    assert write_label_list(_summary(data), found, file) == 0
    before, after = find_data_set(data, found), _read_back(data, file, **options)
    assert (after.images, after.classes) == (before.images, before.classes)


def test_no_path_and_no_group_is_a_formula_and_the_images_stay_the_same(tmp_path: Path) -> None:
    data, file = _touch(tmp_path / "data", "=1.jpg", "-2.jpg", "3.jpg", "+/4.jpg"), tmp_path / "again.csv"
    (data / "table.csv").write_text(
        "path,label,group\n=1.jpg,crack,=a\n-2.jpg,sound,=a\n3.jpg,crack,b\n+/4.jpg,sound,c\n"
    )
    options = DataOptions(labels=str(data / "table.csv"))
    assert write_label_list(_summary(data), options, file) == 0
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert {row["path"] for row in rows} == {"./=1.jpg", "./-2.jpg", "3.jpg", "./+/4.jpg"}
    assert [row["group"] for row in rows if row["path"] in ("./=1.jpg", "./-2.jpg")] == ["'=a", "'=a"]
    before, after = find_data_set(data, options), _read_back(data, file)
    assert [(each.path, each.class_name) for each in after.images] == [
        (each.path, each.class_name) for each in before.images
    ]


def test_splits_and_groups_of_a_table_are_kept(tmp_path: Path) -> None:
    data, file = _touch(tmp_path / "data", "1.jpg", "2.jpg", "3.jpg", "4.jpg"), tmp_path / "again.csv"
    (data / "table.csv").write_text(
        "path,label,split,group\n1.jpg,crack,train,a\n2.jpg,sound,train,a\n3.jpg,crack,test,b\n4.jpg,sound,test,c\n"
    )
    options = DataOptions(labels="table.csv")
    write_label_list(_summary(data), options, file)
    assert _read_back(data, file).images == find_data_set(data, options).images


def test_doubtful_images_come_first_and_correcting_them_changes_their_class(tmp_path: Path) -> None:
    data = _touch(tmp_path / "data", "Negative/1.jpg", "Positive/2.jpg", "Positive/3.jpg", "Positive/4.jpg")
    summary = _summary(data, DOUBT)
    conflict = AccountRow(path="Positive/4.jpg", class_name="Positive", reason=LABEL_CONFLICT, detail="the same is in")
    summary.images = Images(rejected=[conflict])
    file = tmp_path / "labels.csv"
    write_label_list(summary, DataOptions(), file)
    with file.open(newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["path", "label", "check"],
            ["Positive/2.jpg", "Positive", "looks like Negative (score 0.99)"],
            ["Positive/4.jpg", "Positive", "the same is in"],
            ["Negative/1.jpg", "Negative", ""],
            ["Positive/3.jpg", "Positive", ""],
        ]
    file.write_text(file.read_text().replace("2.jpg,Positive", "2.jpg,Negative"))
    classes = {image.path: image.class_name for image in _read_back(data, file).images}
    assert classes["Positive/2.jpg"] == "Negative" and classes["Positive/4.jpg"] == "Positive"


def test_images_that_no_table_can_hold_are_counted_and_left_out(tmp_path: Path) -> None:
    odd = ("Negative/1.jpg", "Positive/ 2.jpg", "Positive/line\nbreak.jpg", 'Negative/=a,"b;\u200d.jpg')
    hostile = ("Positive/blank ", "Positive/\udcff.jpg")
    data, file = _touch(tmp_path / "data", *odd, *hostile), tmp_path / "labels.csv"
    assert write_label_list(_summary(data), DataOptions(), file) == len(hostile)
    assert {image.path for image in _read_back(data, file).images} == set(odd)
