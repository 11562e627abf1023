"""Rows of batch scoring: which files, which labels, which format. No model is loaded."""

import csv
import io
import json
from pathlib import Path

import pytest
from pyarrow import parquet

from crackgate.contracts.answer import Answer
from crackgate.contracts.card import FamiliarityCard, ReleaseCard
from crackgate.model.predictions import PredictionRow
from serving.batch.counts import PredictionCounts
from serving.batch.formats import Format, UnknownFormatError, column_names, format_of, parquet_writer, text_writer
from serving.batch.inputs import NoSuchInputError, check_inputs, find_images
from serving.batch.labels import FailOn, UnknownLabelError, resolve_labels

CLASSES = ["Negative", "Positive"]
ROWS = [
    PredictionRow('a "b",c\n.jpg', Answer("Positive", 0.75, (0.25, 0.75), True, 1.5, "7", "")),
    PredictionRow("ü.jpg", Answer("", 0.0, (0.0, 0.0), True, 0.0, "7", "not an image")),
]


def test_files_folders_and_patterns_stand_for_files(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "a/b/2.jpg", "a/b/3.png", "[x].jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def found(*arguments: str) -> list[str]:
        return sorted(str(file.relative_to(tmp_path)) for file in find_images([f"{tmp_path}/{a}" for a in arguments]))

    assert found("a") == found("a/**") == ["a/1.jpg", "a/b/2.jpg", "a/b/3.png"]
    assert found("**/*.jpg") == ["[x].jpg", "a/1.jpg", "a/b/2.jpg"]
    assert found("a/?") == ["a/b/2.jpg", "a/b/3.png"], "a folder that matches stands for its files"
    assert found("[x].jpg") == ["[x].jpg"], "a file's own name is no pattern"
    assert found("gone.jpg") == ["gone.jpg"], "reading it will say so"
    check_inputs([f"{tmp_path}/a", f"{tmp_path}/*/*.jpg"])
    with pytest.raises(NoSuchInputError, match=r"none/\*\.jpg.*\*\* for any folders"):
        check_inputs([f"{tmp_path}/a", f"{tmp_path}/none/*.jpg"])


def test_files_come_sorted_whatever_the_file_system_does(tmp_path: Path) -> None:
    names = [f"{folder}/{number}.jpg" for folder in "cab" for number in (3, 1, 20, 2)]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for argument in ("", "**/*.jpg", "?/*", "[abc]"):
        found = [str(file.relative_to(tmp_path)) for file in find_images([f"{tmp_path}/{argument}"])]
        assert found == sorted(names), argument


def test_what_stands_for_no_file_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "1.jpg").touch()
    check_inputs([f"{tmp_path}/full", str(tmp_path)])
    for argument in ("empty", "empty/inner", "em*", "**/inner"):
        with pytest.raises(NoSuchInputError, match=r"no file to read in '.*': give a folder with images") as caught:
            check_inputs([f"{tmp_path}/full", f"{tmp_path}/{argument}"])
        assert argument in str(caught.value) and "full" not in str(caught.value)


def test_the_output_is_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("1.jpg", "rows.csv", ".rows.csv.1a2b3c4d.partial", "rows.csv.jpg", "rows/part.jsonl", "in/rows.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)

    def found(argument: str, output: str) -> set[str]:
        return {str(file) for file in find_images([argument], Path(output))}

    every = {"1.jpg", "rows.csv", ".rows.csv.1a2b3c4d.partial", "rows.csv.jpg", "rows/part.jsonl", "in/rows.csv"}
    own = {"rows.csv", ".rows.csv.1a2b3c4d.partial"}
    assert found(".", "rows.csv") == found(".", f"{tmp_path}/in/../rows.csv") == every - own
    assert found(".", "in/rows.csv") == every - {"in/rows.csv"}
    assert found(".", "rows") == every - {"rows/part.jsonl"}
    assert found(".", "new.csv") == every
    # A link to the output is as little an input as what is written behind it.
    (tmp_path / "latest").symlink_to("rows.csv")
    assert found(".", "latest") == every - own
    assert found(".", "rows.csv") == every - own | {"latest"}
    with pytest.raises(NoSuchInputError, match=r"no file to read in 'rows\.csv'"):
        check_inputs(["rows.csv"], Path("rows.csv"))


def test_a_folder_that_cannot_be_listed_is_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert list(find_images([str(loop)])) == [loop]
    check_inputs([str(loop)])


def test_counts_in_words() -> None:
    counts = PredictionCounts()
    for row in ROWS:
        counts.add(row.answer)
    assert (
        counts.in_words(CLASSES, ["Positive"])
        == "2 images: 0 Negative, 1 Positive, 1 error; 1 unlike the training images"
    )
    many = PredictionCounts(rows=1206, errors=2, labels={"a": 1000, "b": 200, "c": 4})
    assert many.in_words(["a", "b", "c"], ["b", "c"]) == (
        "1,206 images: 1,000 a, 200 b, 4 c, 204 positive in all, 2 errors"
    )


def test_labels_to_fail_on() -> None:
    card = _card(CLASSES, "Positive")
    assert resolve_labels(["crack", "Negative"], card) == FailOn(frozenset({"Positive", "Negative"}), unfamiliar=False)
    assert resolve_labels(["Unfamiliar"], card) == FailOn(frozenset(), unfamiliar=True)
    own = _card(["crack", "spall", "unfamiliar"], "spall")
    assert resolve_labels(["crack"], own).labels == {"crack"}, "a class's own name goes first"
    assert resolve_labels(["unfamiliar"], own) == FailOn(frozenset({"unfamiliar"}), unfamiliar=False)
    for labels, positive in ((["dent"], ("Positive",)), (["crack"], ())):
        with pytest.raises(UnknownLabelError, match="allowed are 'Negative', 'Positive', 'unfamiliar'"):
            resolve_labels(labels, _card(CLASSES, *positive))
    with pytest.raises(
        UnknownLabelError, match=r"this release does not know its training images.*train and release anew"
    ):
        resolve_labels(["crack", "unfamiliar"], card.model_copy(update={"familiarity": None}))


def _card(classes: list[str], *positive: str) -> ReleaseCard:
    return ReleaseCard(
        classes=classes,
        positive_classes=positive,
        threshold=0.5 if positive else None,
        image_size=160,
        familiarity=FamiliarityCard(train_images=9, eval_images=9, eval_beyond=0),
    )


def test_the_same_rows_in_every_format(tmp_path: Path) -> None:
    texts = {}
    for kind in (Format.TABLE, Format.CSV, Format.JSON, Format.JSONL):
        stream = io.StringIO(newline="")
        with text_writer(kind, stream, CLASSES) as write:
            for row in ROWS:
                write(row)
        texts[kind] = stream.getvalue()
    with parquet_writer(tmp_path / "rows.parquet", CLASSES) as write:
        for row in ROWS:
            write(row)

    objects = json.loads(texts[Format.JSON])
    assert objects == [json.loads(line) for line in texts[Format.JSONL].splitlines()]
    assert objects[0]["scores"] == {"Negative": 0.25, "Positive": 0.75} and objects[1]["error"] == "not an image"
    columns = column_names(CLASSES)
    plain = ["image", "label", "probability", "is_positive", "unfamiliarity", "model_version", "error"]
    assert columns == [*plain, "score_Negative", "score_Positive"]
    assert [entry["unfamiliarity"] for entry in objects] == [1.5, None]
    first, second = csv.DictReader(io.StringIO(texts[Format.CSV]))
    assert list(first) == columns and first["image"] == ROWS[0].image and first["score_Positive"] == "0.75"
    assert first["is_positive"] == "true" and second["is_positive"] == second["probability"] == ""
    assert (first["unfamiliarity"], second["unfamiliarity"]) == ("1.5", "")
    table = parquet.read_table(tmp_path / "rows.parquet")
    assert table.column_names == columns and table.to_pylist()[0]["score_Negative"] == 0.25
    assert table.column("unfamiliarity").to_pylist() == [1.5, None]
    assert table.to_pylist()[1]["label"] is None and table.to_pylist()[1]["error"] == "not an image"
    assert len(texts[Format.TABLE].splitlines()) == 3, "a line break in a name makes no other row"


def test_no_rows_are_whole_files_too(tmp_path: Path) -> None:
    stream = io.StringIO()
    with text_writer(Format.JSON, stream, CLASSES):
        pass
    assert json.loads(stream.getvalue()) == []
    with parquet_writer(tmp_path / "none.parquet", CLASSES):
        pass
    assert parquet.read_table(tmp_path / "none.parquet").column_names == column_names(CLASSES)


def test_the_extension_tells_the_format() -> None:
    assert format_of(Path("rows.PARQUET")) is Format.PARQUET and format_of(Path("a.b.jsonl")) is Format.JSONL
    with pytest.raises(UnknownFormatError, match=r"rows\.xls.*\.csv, \.json, \.jsonl, \.parquet"):
        format_of(Path("rows.xls"))
