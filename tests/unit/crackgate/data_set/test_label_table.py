"""Tables of labels: what is read from them, and what each error says."""

import unicodedata
from pathlib import Path

import pytest

from crackgate.config.data import DataOptions
from crackgate.contracts.errors import WrongQuestionError
from crackgate.data_set.data_set import DataSet, ListedImage, find_data_set
from crackgate.data_set.file_tree import read_tree
from crackgate.data_set.label_table import LabelRow, read_label_table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "photos"
    for path in ("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg"):
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_bytes(b"picture")
    return data


def _read(folder: Path, content: str | bytes, file: str = "labels.csv") -> list[LabelRow]:
    (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_label_table(folder / file, folder, read_tree(folder).images)


def _find(folder: Path, content: str, **options: object) -> DataSet:
    (folder / "labels.csv").write_text(content, encoding="utf-8")
    return find_data_set(folder, DataOptions.model_validate({"labels": "labels.csv", **options}))


TABLE = "path,label\na/1.jpg,crack\nb/3.jpg,sound\n"
FORMS = {
    "as it is": TABLE.encode(),
    "with a byte order mark": TABLE.encode("utf-8-sig"),
    "UTF-16": TABLE.encode("utf-16"),
    "UTF-16, the other order": b"\xfe\xff" + TABLE.encode("utf-16-be"),
    "semicolons": TABLE.replace(",", ";").encode(),
    "tabs": TABLE.replace(",", "\t").encode(),
    "Windows lines": TABLE.replace("\n", "\r\n").encode(),
    "Windows paths": TABLE.replace("/", "\\").encode(),
    "quotes": b'"path","label"\n"a/1.jpg","crack"\n"b/3.jpg","sound"\n',
    "blanks and capitals": b" Path , LABEL\n a/1.jpg , crack \n\nb/3.jpg,sound\n , \n",
    "columns in another order": b"label,path\ncrack,a/1.jpg\nsound,b/3.jpg\n",
    "without a last line's end": TABLE.encode().rstrip(),
    "with remarks": b"path,label,check\na/1.jpg,crack,\nb/3.jpg,sound,looks like crack\n",
    "rows twice": (TABLE + "a/1.jpg,crack\n").encode(),
}


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_tables_that_programs_write_are_read(folder: Path, content: bytes) -> None:
    assert _read(folder, content) == [LabelRow("a/1.jpg", "crack", "", ""), LabelRow("b/3.jpg", "sound", "", "")]


def test_paths_start_at_the_table_or_at_the_data_folder_or_are_absolute(folder: Path) -> None:
    (folder.parent / "labels.csv").write_text(f"path,label\nphotos/a/1.jpg,x\nb/3.jpg,y\n{folder}/b/4.jpg,y\n")
    rows = read_label_table(folder.parent / "labels.csv", folder, [])
    assert [row.path for row in rows] == ["a/1.jpg", "b/3.jpg", "b/4.jpg"]


@pytest.mark.parametrize(("on_disk", "written"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_read_in_any_form_of_unicode(folder: Path, on_disk: str, written: str) -> None:
    path, label = unicodedata.normalize(on_disk, "süd/Riß é.jpg"), unicodedata.normalize(on_disk, "fissuré")
    (folder / path).parent.mkdir()
    (folder / path).write_bytes(b"picture")
    table = f"path,label\n{unicodedata.normalize(written, path)},{label}\nb/3.jpg,sain\n"
    found = _find(folder, table, classes=("sain", unicodedata.normalize(written, label)))
    assert [image.path for image in found.images] == ["b/3.jpg", path]
    assert found.classes == ["sain", unicodedata.normalize(written, label)]


def test_one_of_two_files_that_look_alike_is_not_guessed(folder: Path) -> None:
    for form in ("NFC", "NFD"):
        (folder / unicodedata.normalize(form, "ệ.jpg")).write_bytes(b"picture")
    half = "ê\u0323"
    with pytest.raises(WrongQuestionError, match="there is no such file"):
        _read(folder, f"path,label\n{half}.jpg,x\n")
    assert _read(folder, "path,label\nệ.jpg,x\n")[0].path == "ệ.jpg"


def test_splits_and_groups_are_read_under_their_usual_names(folder: Path) -> None:
    rows = _read(folder, "path,label,split,group\na/1.jpg,x,Training,s1\na/2.jpg,x,val,s2\nb/3.jpg,y,test,s3\n")
    assert [(row.split, row.group) for row in rows] == [("train", "s1"), ("eval", "s2"), ("test", "s3")]


WRONG = {
    "nothing": ("", "received the columns none; needed are the columns path and label"),
    "only a header": ("path,label\n", "has no row below its header"),
    "other columns": (
        "filename,class\na/1.jpg,x\n",
        "received the columns 'filename', 'class'; needed are the columns",
    ),
    "more columns": (
        "path,label,note\na/1.jpg,x,y\n",
        "'note'; needed are the columns path and label; split and group",
    ),
    "a column twice": ("path,label,label\na/1.jpg,x,y\n", "received the columns 'path', 'label', 'label'"),
    "too few cells": ("path,label\na/1.jpg\n", "line 2: received 1 cells, the header has 2"),
    "an open quote": ('path,label\n"a/1.jpg,x\n', "no CSV: unexpected end of data"),
    "another encoding": (b"path,label\na/1.jpg,Ri\xdf\n", "no text in UTF-8 (byte 21): save it as CSV in UTF-8"),
    "a workbook": (b"PK\3\4\0\0path", "is no text"),
    "an empty label": ("path,label\na/1.jpg,x\na/2.jpg,\n", "'label' is empty in 1 row, such as line 3"),
    "an empty group": ("path,label,group\na/1.jpg,x,1\na/2.jpg,x,\n", "fill it everywhere, or leave the column out"),
    "an unknown split": (
        "path,label,split\na/1.jpg,x,fold1\n",
        "line 2: received the split 'fold1', allowed are train",
    ),
    "a missing image": (
        "path,label\na/1.jpg,x\na/9.jpg,x\n",
        "1 path cannot be used, 'a/9.jpg' (line 3): there is no such file",
    ),
    "a folder": ("path,label\na,x\nb/3.jpg,y\n", "1 path cannot be used, 'a' (line 2): they are folders"),
    "a label with a slash": ("path,label\na/1.jpg,x/y\n", "line 2: received the label 'x/y', allowed are names"),
    "a label of two lines": ('path,label\na/1.jpg,"x\ny"\n', "received the label 'x\\ny', allowed are names"),
    "an image outside": (
        "path,label\n../outside.jpg,x\n",
        "1 path cannot be used, '../outside.jpg' (line 2): they lie outside",
    ),
    "two labels": (
        "path,label\na/1.jpg,x\na/2.jpg,x\n./a/1.jpg,y\n",
        "'a/1.jpg' stands in line 2 as 'x' and in line 4",
    ),
    "a group in two splits": (
        "path,label,split,group\na/1.jpg,x,train,g\na/2.jpg,x,test,g\n",
        "the group 'g' is in the split 'train' (line 2) and in 'test' (line 3)",
    ),
}


@pytest.mark.parametrize(("content", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_table_is_refused_with_the_line_and_what_is_allowed(
    folder: Path, content: str | bytes, said: str
) -> None:
    (folder.parent / "outside.jpg").write_bytes(b"picture")
    with pytest.raises(WrongQuestionError) as refusal:
        _read(folder, content)
    assert said in str(refusal.value)
    assert "labels.csv" in str(refusal.value)


def test_a_table_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(WrongQuestionError, match=r"cannot read the table of labels .*absent.csv': No such file"):
        find_data_set(folder, DataOptions(labels="absent.csv"))


def test_images_take_label_split_and_group_from_the_table_and_the_others_are_counted(folder: Path) -> None:
    found = _find(
        folder, "path,label,split,group\nb/3.jpg,sound,test,s2\na/1.jpg,crack,train,s1\na/2.jpg,sound,train,s1\n"
    )
    assert found.classes == ["crack", "sound"]
    assert found.images == [
        ListedImage("a/1.jpg", "crack", ("train", "eval"), "s1"),
        ListedImage("a/2.jpg", "sound", ("train", "eval"), "s1"),
        ListedImage("b/3.jpg", "sound", ("test",), "s2"),
    ]
    assert found.ignored == {"documents": 1, "images without a label": 1}


def test_classes_choose_and_join_labels(folder: Path) -> None:
    table = "path,label\na/1.jpg,hairline\na/2.jpg,wide\nb/3.jpg,none\nb/4.jpg,unsure\n"
    found = _find(folder, table, classes={"crack": ["hairline", "wide"], "sound": ["none"]})
    assert found.classes == ["crack", "sound"]
    assert [image.class_name for image in found.images] == ["crack", "crack", "sound"]
    assert found.ignored == {"documents": 1, "images outside data.classes": 1}
    with pytest.raises(WrongQuestionError, match="received 'rust', but no row of"):
        _find(folder, table, classes=["none", "rust"])


def test_one_split_alone_and_two_sources_of_groups_are_refused(folder: Path) -> None:
    with pytest.raises(WrongQuestionError, match="give train only: needed are train and test"):
        _find(folder, "path,label,split\na/1.jpg,x,train\nb/3.jpg,y,train\n")
    with pytest.raises(WrongQuestionError, match=r"data.group_by: received '\(a\)'"):
        _find(folder, "path,label,group\na/1.jpg,x,1\nb/3.jpg,y,2\n", group_by="(a)")


def test_another_label_is_another_fingerprint(folder: Path) -> None:
    before = _find(folder, TABLE).fingerprint(folder)
    assert _find(folder, TABLE).fingerprint(folder) == before
    assert _find(folder, TABLE.replace("3.jpg,sound", "3.jpg,crack") + "a/2.jpg,sound\n").fingerprint(folder) != before
