"""The layouts that people have: how a data folder is read, and why it is refused."""

import hashlib
import os
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from crackgate.config.data import DataOptions
from crackgate.contracts.errors import WrongQuestionError
from crackgate.data_set.data_set import DataSet, find_data_set
from crackgate.images.image_folder import fingerprint


def _write(folder: Path, *paths: str) -> None:
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"picture")


def _find(folder: Path, **options: object) -> DataSet:
    return find_data_set(folder, DataOptions.model_validate(options))


def _places(data_set: DataSet) -> dict[str, tuple[str, tuple[str, ...], str]]:
    return {image.path: (image.class_name, image.splits, image.part) for image in data_set.images}


def test_top_folders_are_the_classes_whatever_lies_deeper(tmp_path: Path) -> None:
    _write(tmp_path, "Positive/1.jpg", "Positive/bridge/2023/2.jpg", "Negative/deep/er/3.jpg", "loose.jpg")
    found = _find(tmp_path)
    assert found.classes == ["Negative", "Positive"]
    assert _places(found) == {
        "loose.jpg": ("", (), ""),
        "Negative/deep/er/3.jpg": ("Negative", (), ""),
        "Positive/1.jpg": ("Positive", (), ""),
        "Positive/bridge/2023/2.jpg": ("Positive", (), ""),
    }
    assert (found.ignored, found.notes) == ({}, [])


def test_a_folder_without_images_has_no_classes(tmp_path: Path) -> None:
    (tmp_path / "empty" / "also empty").mkdir(parents=True)
    assert (_find(tmp_path).classes, _find(tmp_path).images) == ([], [])


@pytest.mark.parametrize(
    ("train", "evaluation", "test"),
    [
        ("train", "valid", "test"),
        ("Train", "Val", "Test"),
        ("training_set", "validation_set", "test_set"),
        ("TRAIN", "dev", "holdout"),
        ("Training Data", "eval", "testing"),
        ("train2017", "val2017", "test2017"),
        ("train_dataset", "val_dataset", "test_dataset"),
        ("train1", "val1", "test1"),
        ("01_train", "02_val", "03_test"),
        ("Training Data Set", "Validation Data Set", "Test Data Set"),
        ("trainset", "valset", "testset"),
        ("TrainImages", "ValImages", "TestImages"),
        ("train (1)", "val v2", "Hold-Out"),
        ("train_224x224", "val_224x224", "test_224x224"),
        ("trn", "vld", "tst"),
        ("Trainingsdaten", "Validierungsdaten", "Testdaten"),
        ("entrenamiento", "validación", "prueba"),
        ("Training", "Validierung", "Prüfung"),
        ("tr", "va", "te"),
        ("训练集", "验证集", "测试集"),
    ],
)
def test_folders_of_splits_are_used_as_they_are(tmp_path: Path, train: str, evaluation: str, test: str) -> None:
    _write(tmp_path, *(f"{split}/{name}/1.jpg" for split in (train, evaluation, test) for name in ("crack", "sound")))
    found = _find(tmp_path)
    assert found.classes == ["crack", "sound"]
    assert {path: splits for path, (_, splits, _) in _places(found).items()} == {
        f"{folder}/{name}/1.jpg": (split,)
        for folder, split in ((train, "train"), (evaluation, "eval"), (test, "test"))
        for name in ("crack", "sound")
    }
    assert f"{train!r} is used as train" in found.notes[0] and f"{evaluation!r} is used as eval" in found.notes[0]


@pytest.mark.parametrize("judging", ["test", "val"])
def test_of_two_splits_train_is_divided_and_the_other_judges(tmp_path: Path, judging: str) -> None:
    _write(tmp_path, *(f"{split}/{name}/1.jpg" for split in ("train", judging) for name in ("crack", "sound")))
    found = _find(tmp_path)
    assert {path: splits for path, (_, splits, _) in _places(found).items()} == {
        "train/crack/1.jpg": ("train", "eval"),
        "train/sound/1.jpg": ("train", "eval"),
        f"{judging}/crack/1.jpg": ("test",),
        f"{judging}/sound/1.jpg": ("test",),
    }
    assert "'train' is used as train and eval" in found.notes[0] and f"{judging!r} is used as test" in found.notes[0]


def test_splits_in_the_class_folders_are_used_too(tmp_path: Path) -> None:
    _write(tmp_path, *(f"{name}/{split}/1.jpg" for split in ("train", "val", "test") for name in ("crack", "sound")))
    assert Counter(image.splits for image in _find(tmp_path).images) == {("train",): 2, ("eval",): 2, ("test",): 2}


def test_only_the_given_test_images_may_judge_a_model(tmp_path: Path) -> None:
    _write(tmp_path, *(f"{split}/{name}/1.jpg" for split in ("train", "val", "test") for name in ("crack", "sound")))
    judging = _find(tmp_path).within(["test"])
    assert [image.path for image in judging.images] == ["test/crack/1.jpg", "test/sound/1.jpg"]
    assert judging.ignored == {"images of other splits": 4}
    _write(tmp_path / "plain", "crack/1.jpg", "sound/1.jpg")
    assert len(_find(tmp_path / "plain").within(["test"]).images) == 2


WRONG = {
    "splits without classes": (["train/1.jpg", "val/1.jpg"], "splits without class folders"),
    "a split among classes": (["test/1.jpg", "crack/1.jpg", "sound/1.jpg"], "'test' has the name of a split"),
    "splits and another folder": (
        ["train/crack/1.jpg", "test/crack/1.jpg", "more/crack/1.jpg"],
        "'test', 'train' has the name of a split, and 'more' beside it",
    ),
    "splits and another folder of the classes": (
        [f"{outer}/{name}/1.jpg" for outer in ("train", "test", "extra") for name in ("crack", "ok")],
        "'test', 'train' has the name of a split, and 'extra' beside it has not",
    ),
    "splits in the names of classes": (
        ["train_crack/1.jpg", "train_ok/1.jpg", "test_crack/1.jpg", "test_ok/1.jpg"],
        "have names of splits and of something else",
    ),
    "splits and classes in one word": (
        ["traincrack/1.jpg", "trainok/1.jpg", "testcrack/1.jpg", "testok/1.jpg"],
        "have names of splits and of something else",
    ),
    "splits in the names of surfaces": (
        [f"{outer}/{name}/1.jpg" for outer in ("deck train", "deck test") for name in ("crack", "ok")],
        "'deck test', 'deck train' have names of splits and of something else",
    ),
    "splits in names below the classes": (
        ["crack/crack_train/1.jpg", "crack/crack_test/1.jpg", "ok/ok_train/1.jpg", "ok/ok_test/1.jpg"],
        "in the class folders are splits",
    ),
    "splits in splits": (
        [f"{a}/{b}/1.jpg" for a in ("train", "test") for b in ("train", "test")],
        "'test', 'train' has the name of a split, and not that of a class",
    ),
    "splits with different classes": (
        ["train/crack/1.jpg", "train/sound/1.jpg", "test/crack/1.jpg", "test/ok/1.jpg"],
        "'test' has 'crack', 'ok'; 'train' has 'crack', 'sound': not all have 'ok', 'sound'",
    ),
    "a class without test images": (
        ["crack/train/1.jpg", "crack/test/1.jpg", "ok/train/1.jpg"],
        "'test' has 'crack'; 'train' has 'crack', 'ok': not all have 'ok'",
    ),
    "Kaggle's test folder": (
        ["train/crack/1.jpg", "train/ok/1.jpg", "test/unknown/1.jpg"],
        "'test' has no class folders, and the other splits have 'crack', 'ok'",
    ),
    "a flat test folder": (
        [*(f"{split}/{name}/1.jpg" for split in ("train", "val") for name in ("crack", "ok")), "test/1.jpg"],
        "'test' has no class folders, and the other splits have 'crack', 'ok'",
    ),
    "surfaces or classes": (
        [f"{part}/{name}/1.jpg" for part in ("deck", "pavement", "wall") for name in ("rust", "spalling")],
        '--set \'data.classes=["rust", "spalling"]\' or --set \'data.classes=["deck", "pavement", "wall"]\'',
    ),
    "splits in one surface only": (
        [f"{outer}/{name}/1.jpg" for outer in ("deck/train", "deck/test", "wall") for name in ("crack", "ok")],
        "'test', 'train' has the name of a split, and 'crack', 'ok' beside it has not",
    ),
    "surfaces that do not hold all classes": (
        ["deck/rust/1.jpg", "deck/spalling/1.jpg", "deck/ok/1.jpg", "wall/rust/1.jpg", "wall/ok/1.jpg"],
        "the folders 'deck', 'wall' hold 'ok', 'rust', 'spalling' several times",
    ),
    "a test folder in a test folder": (
        [*(f"{split}/{name}/1.jpg" for split in ("train", "val") for name in ("crack", "ok")), "test/test/1.jpg"],
        "'test' has no class folders, and the other splits have 'crack', 'ok'",
    ),
    "validation only": (
        ["val/crack/1.jpg", "test/crack/2.jpg"],
        "eval, test only: needed are train",
    ),
    "splits beside images in a class": (
        ["crack/train/1.jpg", "crack/test/2.jpg", "crack/3.jpg", "sound/4.jpg"],
        "'test', 'train' in the class folders are splits, and there are images beside them",
    ),
    "a class in another folder": (
        ["crack/1.jpg", "sound/1.jpg", "backup/crack/1.jpg"],
        "'backup' holds 'crack', which has the name of a class beside it",
    ),
    "classes at two levels": (
        ["concrete/crack/1.jpg", "concrete/sound/2.jpg", "asphalt/3.jpg"],
        "the folders 'asphalt', 'concrete' hold images, and 'crack', 'sound' somewhere in them",
    ),
    "surfaces of cracks only": (["D/CD/1.jpg", "W/CW/1.jpg"], "a classifier needs folders without cracks, too"),
    "masks in classes": (["crack/images/1.jpg", "crack/masks/1.png", "sound/2.jpg"], "'masks' holds masks"),
    "surfaces": (
        ["D/CD/1.jpg", "D/UD/1.jpg", "P/CP/1.jpg", "P/UP/1.jpg", "W/CW/1.jpg", "W/UW/1.jpg"],
        '--set \'data.classes={"Cracked" = ["CD", "CP", "CW"], "Sound" = ["UD", "UP", "UW"]}\'',
    ),
    "images and masks": (["images/1.jpg", "masks/1.png"], "'masks' holds masks of the images in 'images'"),
    "DeepCrack": (
        ["train_img/1.jpg", "train_lab/1.png", "test_img/2.jpg", "test_lab/2.png"],
        "'test_lab', 'train_lab' holds masks of the images in 'test_img', 'train_img'",
    ),
    "images and ground truth": (["image/1.jpg", "groundTruthPngImg/1.png"], "'groundTruthPngImg' holds masks"),
    "masks of splits": (["train/images/1.jpg", "train/masks/1.png", "test/images/2.jpg"], "'masks' holds masks"),
    "CrackForest": (["image/001.jpg", "groundTruth/001.mat", "seg/001.seg"], "masks in MATLAB's form"),
    "YOLO": (["images/1.jpg", "images/2.jpg", "labels/1.txt", "labels/2.txt", "data.yaml"], "boxes in YOLO's form"),
    "YOLO in splits": (
        [f"{split}/{path}" for split in ("train", "valid", "test") for path in ("images/1.jpg", "labels/1.txt")],
        "boxes in YOLO's form",
    ),
    "Pascal VOC": (["JPEGImages/1.jpg", "Annotations/1.xml"], "boxes in Pascal VOC's form"),
    "VOC beside the images": (["train/1.jpg", "train/1.xml"], "boxes in Pascal VOC's form"),
    "COCO": (["train/1.jpg", "train/_annotations.coco.json"], "in COCO's form"),
    "COCO of splits": (
        ["images/train2017/1.jpg", "images/val2017/2.jpg", "annotations/instances_train2017.json"],
        "in COCO's form",
    ),
    "LabelMe": (["photos/1.jpg", "photos/1.json"], "boxes or outlines"),
    "Roboflow's labels": (["train/1.jpg", "train/_classes.csv", "valid/2.jpg"], "labels, one column for each"),
    "a table": (["images/1.jpg", "labels.csv"], "'labels.csv' may hold labels: give it by --labels FILE"),
    "a table beside splits": (["train/1.jpg", "test/2.jpg", "train.csv"], "'train.csv' may hold labels"),
    "Label Studio": (["images/1.jpg", "images/2.jpg", "project-1-at-2026.json"], "'project-1-at-2026.json' may hold"),
    "CVAT": (["images/1.jpg", "images/2.jpg", "annotations.xml"], "'annotations.xml' holds boxes or outlines"),
    "JSON lines beside loose images": (["1.jpg", "2.jpg", "labels.jsonl"], "'labels.jsonl' may hold labels"),
    "an export of Labelbox": (["1.jpg", "2.jpg", "Export project.ndjson"], "'Export project.ndjson' may hold labels"),
    "short names of splits and another": (
        [f"{outer}/{name}/1.jpg" for outer in ("tr", "te", "extra") for name in ("crack", "ok")],
        "'te', 'tr' has the name of a split, and 'extra' beside it has not",
    ),
    "a table beside loose images": (["1.jpg", "2.jpg", "labels.xlsx"], "'labels.xlsx' may hold labels"),
}


@pytest.mark.parametrize(("paths", "said"), WRONG.values(), ids=WRONG)
def test_what_says_no_classes_is_refused_with_what_is_needed(tmp_path: Path, paths: list[str], said: str) -> None:
    _write(tmp_path, *paths)
    with pytest.raises(WrongQuestionError) as refusal:
        _find(tmp_path)
    assert said in str(refusal.value)


def test_annotations_beside_class_folders_are_only_ignored(tmp_path: Path) -> None:
    _write(tmp_path, "Positive/1.jpg", "Positive/1.json", "Negative/2.jpg", "Negative/2.json", "meta.csv")
    found = _find(tmp_path)
    assert (found.classes, found.ignored) == (["Negative", "Positive"], {"documents": 3})


@pytest.mark.parametrize("sites", [("VA", "MD", "PA"), ("VA", "CA"), ("TE", "ZH")])
def test_states_of_two_letters_are_no_splits(tmp_path: Path, sites: tuple[str, ...]) -> None:
    _write(tmp_path, *(f"{site}/{name}/1.jpg" for site in sites for name in ("crack", "sound")))
    assert {image.part for image in _find(tmp_path).images} == set(sites)
    assert all(not image.splits for image in _find(tmp_path).images)


def test_a_wrapping_folder_is_entered(tmp_path: Path) -> None:
    _write(tmp_path, "Concrete/v2/Positive/1.jpg", "Concrete/v2/Negative/1.jpg")
    _write(tmp_path, "__MACOSX/Concrete/Positive/._1.jpg", "Concrete/.DS_Store", "readme.txt")
    found = _find(tmp_path)
    assert _places(found) == {
        "Concrete/v2/Negative/1.jpg": ("Negative", (), ""),
        "Concrete/v2/Positive/1.jpg": ("Positive", (), ""),
    }
    assert found.ignored == {"documents": 1, "system files": 2}
    assert found.notes == ["the classes are 'Negative', 'Positive', folders in 'Concrete/v2'"]


def test_surfaces_with_the_same_classes_become_parts(tmp_path: Path) -> None:
    _write(tmp_path, *(f"{part}/{name}/1.jpg" for part in ("deck", "wall") for name in ("cracked", "sound")))
    found = _find(tmp_path)
    assert found.classes == ["cracked", "sound"]
    assert Counter(image.part for image in found.images) == {"deck": 2, "wall": 2}
    assert found.notes[-1] == "'deck', 'wall' are slices of the report"


def test_folds_of_a_cross_validation_are_said_not_to_be_splits(tmp_path: Path) -> None:
    for fold in ("fold_1", "fold_2"):
        for name in ("Negative", "Positive"):
            (tmp_path / fold / name).mkdir(parents=True)
            (tmp_path / fold / name / "1.jpg").touch()
    found = find_data_set(tmp_path, DataOptions())
    assert not any(image.splits for image in found.images)
    assert found.notes[-1].startswith(
        "'fold_1', 'fold_2' are slices of the report; as folds of a cross-validation they"
    )


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        (("deck", "pavement", "wall"), ("0", "1")),
        (("Wall cracks", "Deck cracks"), ("yes", "no")),
        (("lab photos", "field photos"), ("crack", "ok")),
        (("lab", "photos"), ("crack", "ok")),
        (("Mask factory", "images of walls"), ("crack", "ok")),
        (("Test 1", "Test 2"), ("crack", "ok")),
    ],
)
def test_folders_around_a_pair_of_classes_are_parts(
    tmp_path: Path, parts: tuple[str, ...], names: tuple[str, ...]
) -> None:
    _write(tmp_path, *(f"{part}/{name}/1.jpg" for part in parts for name in names))
    found = _find(tmp_path)
    assert (found.classes, {image.part for image in found.images}) == (sorted(names), set(parts))
    assert {image.splits for image in found.images} == {()}


@pytest.mark.parametrize(("outer", "inner"), [(("crack", "ok"), ("0", "1")), (("crack", "moss"), ("deck", "wall"))])
def test_folders_with_the_names_of_classes_are_classes(
    tmp_path: Path, outer: tuple[str, ...], inner: tuple[str, ...]
) -> None:
    _write(tmp_path, *(f"{name}/{deeper}/1.jpg" for name in outer for deeper in inner))
    assert _find(tmp_path).classes == sorted(outer)


@pytest.mark.parametrize("classes", [("rust", "spalling"), ("deck", "wall")])
def test_what_may_be_surface_or_class_is_as_it_is_named(tmp_path: Path, classes: tuple[str, ...]) -> None:
    _write(tmp_path, *(f"{part}/{name}/1.jpg" for part in ("deck", "wall") for name in ("rust", "spalling")))
    found = _find(tmp_path, classes=classes)
    assert found.classes == list(classes)
    assert len({image.part for image in found.images}) == (2 if classes[0] == "rust" else 1)


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ("cracks", ("Positive", "Negative")),
        ("crack", ("crack", "non crack")),
        ("Concrete_Cracks/v2", ("crack", "no")),
        ("Cracks", ("yes", "no")),
    ],
)
def test_a_wrapping_folder_may_have_the_name_of_a_class(tmp_path: Path, outer: str, inner: tuple[str, ...]) -> None:
    _write(tmp_path, *(f"{outer}/{name}/1.jpg" for name in inner))
    assert _find(tmp_path).classes == sorted(inner)
    _write(tmp_path / "given", *(f"{outer}/{split}/{name}/1.jpg" for split in ("train", "test") for name in inner))
    found = _find(tmp_path / "given")
    assert (found.classes, {image.splits for image in found.images}) == (sorted(inner), {("train", "eval"), ("test",)})


@pytest.mark.parametrize("classes", [(), ("crack", "ok")])
def test_folders_that_say_their_split_again_are_entered(tmp_path: Path, classes: tuple[str, ...]) -> None:
    _write(tmp_path, *(f"{split}/{split}/{name}/1.jpg" for split in ("train", "test") for name in ("crack", "ok")))
    found = _find(tmp_path, classes=classes)
    assert (found.classes, {image.part for image in found.images}) == (["crack", "ok"], {""})
    assert {image.splits for image in found.images} == {("train", "eval"), ("test",)}


def test_one_class_of_several_sites_is_no_wrapper(tmp_path: Path) -> None:
    _write(tmp_path, "crack/bridge 1/1.jpg", "crack/bridge 2/1.jpg")
    assert _find(tmp_path).classes == ["crack"]


def test_parts_may_have_several_levels(tmp_path: Path) -> None:
    _write(
        tmp_path,
        *(f"{b}/{p}/{c}/1.jpg" for b in ("bridge 1", "bridge 2") for p in ("deck", "pier") for c in ("crack", "ok")),
    )
    found = _find(tmp_path)
    assert found.classes == ["crack", "ok"]
    parts = {"bridge 1/deck", "bridge 1/pier", "bridge 2/deck", "bridge 2/pier"}
    assert {image.part for image in found.images} == parts


def test_sites_in_classes_are_no_classes(tmp_path: Path) -> None:
    _write(tmp_path, *(f"{name}/{site}/1.jpg" for site in ("site 1", "site 2") for name in ("cracked", "sound")))
    assert {image.class_name for image in _find(tmp_path).images} == {"cracked", "sound"}


def test_named_folders_of_surfaces_make_classes_in_the_order_given(tmp_path: Path) -> None:
    _write(tmp_path, "D/CD/1.jpg", "D/UD/1.jpg", "W/CW/1.jpg", "W/UW/deep/1.jpg", "W/notes/1.jpg")
    found = _find(tmp_path, classes={"Sound": ("UD", "UW"), "Cracked": ("CD", "CW")})
    assert found.classes == ["Sound", "Cracked"]
    assert _places(found) == {
        "D/CD/1.jpg": ("Cracked", (), "D"),
        "D/UD/1.jpg": ("Sound", (), "D"),
        "W/CW/1.jpg": ("Cracked", (), "W"),
        "W/UW/deep/1.jpg": ("Sound", (), "W"),
    }
    assert found.ignored == {"images outside data.classes": 1}


def test_named_classes_in_splits_of_surfaces_keep_both(tmp_path: Path) -> None:
    _write(tmp_path, *(f"{s}/{p}/{c}{p}/1.jpg" for s in ("train", "test") for p in "DW" for c in "CU"))
    found = _find(tmp_path, classes={"Sound": ("UD", "UW"), "Cracked": ("CD", "CW")})
    assert _places(found)["train/W/CW/1.jpg"] == ("Cracked", ("train", "eval"), "W")
    assert _places(found)["test/D/UD/1.jpg"] == ("Sound", ("test",), "D")


def test_what_lies_outside_named_classes_does_not_count(tmp_path: Path) -> None:
    _write(tmp_path, "test/1.jpg", "crack/1.jpg", "sound/1.jpg", "backup/crack/1.jpg", "loose.jpg")
    found = _find(tmp_path, classes=("sound", "crack"))
    assert found.classes == ["sound", "crack"]
    assert [image.path for image in found.images] == ["crack/1.jpg", "sound/1.jpg"]
    assert found.ignored == {"images outside data.classes": 3}


def test_an_unlabelled_test_folder_is_left_out_by_named_classes(tmp_path: Path) -> None:
    _write(tmp_path, *(f"{split}/{name}/1.jpg" for split in ("train", "val") for name in ("crack", "ok")))
    _write(tmp_path, "test/unknown/1.jpg", "test/2.jpg")
    found = _find(tmp_path, classes=("crack", "ok"))
    assert Counter(image.splits for image in found.images) == {("train", "eval"): 2, ("test",): 2}
    assert found.ignored == {"images outside data.classes": 2}


WRONG_NAMED = {
    "a folder beside splits": (
        [f"{outer}/{name}/1.jpg" for outer in ("train", "test", "extra") for name in ("crack", "ok")],
        {"classes": ("crack", "ok")},
        "'test', 'train' has the name of a split, and 'extra' beside it has not",
    ),
    "one split beside a surface": (
        [f"{outer}/{name}/1.jpg" for outer in ("test", "deck") for name in ("crack", "ok")],
        {"classes": ("crack", "ok")},
        "'test' has the name of a split, and 'deck' beside it has not",
    ),
    "splits mixed in a class": (
        ["train_crack/1.jpg", "train_ok/1.jpg", "test_crack/1.jpg", "test_ok/1.jpg"],
        {"classes": {"crack": ("train_crack", "test_crack"), "ok": ("train_ok", "test_ok")}},
        "have names of splits and of something else",
    ),
    "a class that a split lacks": (
        ["train/crack/1.jpg", "train/ok/1.jpg", "test/crack/1.jpg"],
        {"classes": ("crack", "ok")},
        "the splits have different classes: 'test' has 'crack'; 'train' has 'crack', 'ok': not all have 'ok'",
    ),
}


@pytest.mark.parametrize(("paths", "options", "said"), WRONG_NAMED.values(), ids=WRONG_NAMED)
def test_named_classes_switch_no_given_splits_off(
    tmp_path: Path, paths: list[str], options: dict[str, object], said: str
) -> None:
    _write(tmp_path, *paths)
    with pytest.raises(WrongQuestionError) as refusal:
        _find(tmp_path, **options)
    assert said in str(refusal.value)


def test_named_classes_join_folders_of_splits_with_other_names(tmp_path: Path) -> None:
    _write(tmp_path, "train/crack/1.jpg", "train/sound/1.jpg", "test/crack/1.jpg", "test/ok/1.jpg")
    found = _find(tmp_path, classes={"crack": ("crack",), "sound": ("sound", "ok")})
    assert _places(found)["test/ok/1.jpg"] == ("sound", ("test",), "")


@pytest.mark.parametrize(("on_disk", "written"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_named_folders_are_found_in_any_form_of_unicode(tmp_path: Path, on_disk: str, written: str) -> None:
    folder = unicodedata.normalize(on_disk, "fissuré")
    _write(tmp_path, f"sain/{folder} 1/1.jpg", f"{folder}/1.jpg", f"{folder}/2.jpg")
    name = unicodedata.normalize(written, folder)
    for classes in (("sain", name), {"sain": ("sain",), name: (name,)}):
        found = _find(tmp_path, classes=classes)
        assert found.classes == ["sain", name]
        assert Counter(image.class_name for image in found.images) == {"sain": 1, name: 2}


def test_two_folders_that_look_alike_are_two_classes_if_both_are_named(tmp_path: Path) -> None:
    both = tuple(unicodedata.normalize(form, "fissuré") for form in ("NFC", "NFD"))
    _write(tmp_path, *(f"{folder}/1.jpg" for folder in (*both, "sain")))
    assert [image.class_name for image in _find(tmp_path, classes={"a": both, "b": ("sain",)}).images].count("a") == 2
    with pytest.raises(WrongQuestionError, match=r"data\.classes: received 'fissuré'"):
        (tmp_path / both[0] / "1.jpg").unlink()
        _find(tmp_path, classes=(*both, "sain"))


def test_a_named_class_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    _write(tmp_path, "crack/1.jpg", "sound/1.jpg")
    with pytest.raises(WrongQuestionError, match=r"received 'absent', 'gone', but .* there are 'crack', 'sound'"):
        _find(tmp_path, classes=("absent", "crack", "gone"))


IGNORED = {
    "system files": [
        ".DS_Store", "._1.jpg", "Thumbs.db", "desktop.ini", "Icon\r", "1.jpg~", "link.lnk",
        "@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", ".ipynb_checkpoints/1-checkpoint.jpg", "$RECYCLE.BIN/1.jpg",
    ],
    "sidecars": ["IMG_1.AAE", "1.xmp", "1.THM", "1.jgw", "1.tfw", "1.PGW", "1.wld", "1.prj", "1.jpg.dvc", "1.ds"],
    "checksums": ["all.md5", "all.sha256"],
    "programs": ["a.py", "a.ipynb", "a.m", "a.sh", "a.bat", "a.sql", "a.exe"],
    "models": ["a.pt", "a.pth", "a.onnx"],
    "drawings": ["a.psd", "a.ai"],
    "videos": ["IMG_1.MOV", "1.mp4", "1.insv"],
    "partial downloads": ["1.jpg.part", "1.jpg.crdownload"],
    "documents": ["readme.txt", "sheet.xlsx", "README", "LICENSE", "CITATION", "CHANGELOG", "Makefile", "CITATION.cff"],
    "archives": ["all.zip"],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "names"), IGNORED.items(), ids=IGNORED)
def test_what_is_no_photograph_is_ignored_by_kind(tmp_path: Path, kind: str, names: list[str]) -> None:
    _write(tmp_path, "crack/1.jpg", "sound/1", *(f"sound/{name}" for name in names))
    found = _find(tmp_path)
    assert [image.path for image in found.images] == ["crack/1.jpg", "sound/1"]
    assert found.ignored == {kind: len(names)}


OWN = {
    "a workspace": [".lock", "runs/1/summary.json", "pipeline/Trainer/model/1.jpg", "serving/1/saved_model.pb"],
    "a workspace without its runs": [".lock", "logs/1.log", "trainer/1.jpg"],
    "an older workspace": ["metadata.sqlite", "pipeline/1.jpg"],
    "a model": ["saved_model.pb", "assets/1.jpg"],
    "what inspect writes": ["index.html", "summary.csv", "summary.json", "wall/heat.jpg"],
    "what export writes": ["export.json", "model-float32.onnx", "1.jpg"],
}


@pytest.mark.parametrize("paths", OWN.values(), ids=OWN)
def test_folders_of_crackgate_are_not_entered(tmp_path: Path, paths: list[str]) -> None:
    _write(tmp_path, "crack/1.jpg", "sound/1.jpg", *(f"photos out/{path}" for path in paths))
    found = _find(tmp_path)
    assert (found.classes, found.ignored) == (["crack", "sound"], {"folders of crackgate": 1})
    before = found.fingerprint(tmp_path)
    _write(tmp_path, "photos out/runs/2/report.html")
    assert _find(tmp_path).fingerprint(tmp_path) == before
    with pytest.raises(WrongQuestionError, match="was written by crackgate"):
        _find(tmp_path / "photos out")


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    _write(tmp_path, "crack/1.jpg", "sound/1.jpg")
    (tmp_path / "sound" / "again").symlink_to(tmp_path)
    found = _find(tmp_path, classes=("crack", "sound"))
    assert [image.path for image in found.images] == ["crack/1.jpg", "sound/1.jpg"]


def test_links_between_neighbours_do_not_multiply(tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(12)]
    _write(tmp_path, *(f"{name}/1.jpg" for name in names))
    for name in names:
        for other in names:
            if other != name:
                (tmp_path / name / other).symlink_to(tmp_path / other)
    images = _find(tmp_path, classes=names).images
    assert {f"{name}/1.jpg" for name in names} < {image.path for image in images}
    assert len(images) < 2 * len(names) ** 2


def test_the_fingerprint_follows_images_labels_and_what_is_ignored(tmp_path: Path) -> None:
    _write(tmp_path, "D/CD/1.jpg", "D/UD/1.jpg")

    def printed(**classes: tuple[str, ...]) -> str:
        return _find(tmp_path, classes=classes).fingerprint(tmp_path)

    before = printed(Cracked=("CD",), Sound=("UD",))
    assert printed(Cracked=("CD",), Sound=("UD",)) == before
    assert printed(Cracked=("UD",), Sound=("CD",)) != before
    _write(tmp_path, "D/CD/1.MOV")
    ignoring = printed(Cracked=("CD",), Sound=("UD",))
    assert ignoring != before
    os.utime(tmp_path / "D/UD/1.jpg", ns=(1, 1))
    assert printed(Cracked=("CD",), Sound=("UD",)) != ignoring

    # Earlier runs' keys of the cache and manifests' fingerprints stay what they are.
    found = _find(tmp_path, classes={"Cracked": ("CD",), "Sound": ("UD",)})
    for data_set in (found, replace(found, images=found.images[:1]), replace(found, images=[], ignored={})):
        files = fingerprint(tmp_path, (image.path for image in data_set.images), {})
        said = os.fsencode(repr((data_set.images, sorted(data_set.ignored.items()))))
        assert data_set.fingerprint(tmp_path) == hashlib.sha256(files.encode() + said).hexdigest()


def test_a_group_in_two_given_splits_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, *(f"{split}/{name}/site 1 {split}.jpg" for split in ("train", "test") for name in ("crack", "ok")))
    assert len(_find(tmp_path, group_by=r"site 1 \w+").images) == 4
    with pytest.raises(WrongQuestionError, match="whose group 'site 1' is in two given splits, in 'test/crack/site 1"):
        _find(tmp_path, group_by=r"site \d")


def test_an_image_in_no_class_parts_no_group(tmp_path: Path) -> None:
    _write(tmp_path, *(f"{split}/{name}/site {split}.jpg" for split in ("train", "test") for name in ("crack", "ok")))
    _write(tmp_path, "train/site train.jpg", "site test.jpg")
    assert len(_find(tmp_path, group_by=r"site \w+").images) == 6
