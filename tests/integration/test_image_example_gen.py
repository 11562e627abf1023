"""ImageExampleGen, run by TFX's launcher: every file is accounted for, and a picture never straddles two splits."""

import hashlib
import io
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from components import features
from components.errors import DataRejectedError
from components.image_example_gen.component import ImageExampleGen
from components.image_folder import find_classes
from components.images import ImageLimits
from components.quality import measure
from pipeline.sample_data import draw_photograph, write_sample_data

if TYPE_CHECKING:
    import tensorflow as tf
    from conftest import Bench

    Examples = dict[str, list[tf.train.Example]]

RATIOS = {"train": 70, "eval": 15, "test": 15}
# Pictures that lie in the hostile folder under several names and formats, and the copies of each.
COPIED, COPIES = 12, 5


def _example_gen(
    folder: Path, classes: list[str] | None = None, max_rejected_share: float = 0.05, **changes: Any
) -> ImageExampleGen:
    options: dict[str, Any] = {"split_ratios": RATIOS, "limits": ImageLimits(), "source_digest": "digest", **changes}
    return ImageExampleGen(
        folder=folder,
        classes=find_classes(folder) if classes is None else classes,
        max_rejected_share=max_rejected_share,
        **options,
    )


def _bytes(example: "tf.train.Example", name: str) -> bytes:
    (value,) = example.features.feature[name].bytes_list.value
    return bytes(value)


def _int(example: "tf.train.Example", name: str) -> int:
    (value,) = example.features.feature[name].int64_list.value
    return int(value)


def _float(example: "tf.train.Example", name: str) -> float:
    (value,) = example.features.feature[name].float_list.value
    return float(value)


def _split_by_path(stored: "Examples") -> dict[str, str]:
    return {
        os.fsdecode(_bytes(example, features.FILENAME)): split
        for split, examples in stored.items()
        for example in examples
    }


def _photograph(number: int, size: int = 40) -> Image.Image:
    return draw_photograph(False, np.random.default_rng([99, number]), size)


def _write_copies(folder: Path) -> None:
    """Each of a dozen pictures five times: renamed, in other formats, packed differently, in a sub-folder."""
    (folder / "nested" / "deep").mkdir(parents=True)
    for number in range(COPIED):
        picture = _photograph(number)
        picture.save(folder / f"{number}.png")
        picture.save(folder / f"copy of {number}.bmp")
        picture.save(folder / f"{number} packed.png", compress_level=0)
        picture.convert("RGBA").save(folder / f"{number} alpha.png")
        shutil.copy(folder / f"{number}.png", folder / "nested" / "deep" / f"{number}.jpg")


def _write_hostile_folder(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Writes files good and bad; returns the class of each accepted path and the reason of each rejected one.

    Paths are as in the account: what is no UTF-8 is written with backslashes.
    """
    write_sample_data(folder, 24, size=40)
    _write_copies(folder / "Negative")
    accepted = {str(path.relative_to(folder)): path.parts[len(folder.parts)] for path in folder.rglob("*.*")}

    positive = folder / "Positive"
    jpeg = (positive / "00001.jpg").read_bytes()
    for name in ("a b.jpg", "new\nline.jpg", "Riß 裂缝.jpg", os.fsdecode(b"caf\xe9.jpg"), "no extension"):
        (positive / name).write_bytes(jpeg)
        accepted[f"Positive/{name}"] = "Positive"
    _photograph(1).convert("CMYK").save(positive / "cmyk.jpg")
    _photograph(2).convert("L").save(positive / "grey.png")
    _photograph(20).save(positive / "photograph.webp", lossless=True)
    _photograph(21).save(positive / "photograph.tif", compression="tiff_lzw")
    for name in ("animation.gif", "animation.png", "animation.webp", "pages.tif"):
        _photograph(22).save(positive / name, save_all=True, append_images=[_photograph(23)])
        accepted[f"Positive/{name}"] = "Positive"
    accepted |= dict.fromkeys(("Positive/photograph.webp", "Positive/photograph.tif"), "Positive")
    (positive / "link.jpg").symlink_to("00002.jpg")
    accepted |= dict.fromkeys(("Positive/cmyk.jpg", "Positive/grey.png", "Positive/link.jpg"), "Positive")

    (positive / "cut.jpg").write_bytes(jpeg[:-100])
    png = io.BytesIO()
    _photograph(3).save(png, "PNG")
    (positive / "cut.png").write_bytes(png.getvalue()[:-200])
    (positive / "empty.jpg").touch()
    (positive / "text.jpg").write_text("I am no picture")
    _photograph(4).save(positive / "photograph.ppm")
    _photograph(5, 32).resize((31, 40)).save(positive / "narrow.png")
    _photograph(6, 64).resize((320, 320)).save(positive / "wide.png")
    (positive / "large.jpg").write_bytes(jpeg + bytes(300_000))
    os.mkfifo(positive / "pipe.jpg")
    (positive / "dangling.jpg").symlink_to("nowhere.jpg")
    (positive / "itself.jpg").symlink_to("itself.jpg")
    (positive / os.fsdecode(b"bad\xff\n.jpg")).touch()
    (folder / "beside.jpg").write_bytes(jpeg)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "1.jpg").write_bytes(jpeg)
    rejected = {
        "Positive/cut.jpg": "truncated",
        "Positive/cut.png": "truncated",
        "Positive/empty.jpg": "empty file",
        "Positive/text.jpg": "not an image",
        "Positive/photograph.ppm": "format not supported",
        "Positive/narrow.png": "too small",
        "Positive/wide.png": "too large",
        "Positive/large.jpg": "too large",
        "Positive/pipe.jpg": "unreadable",
        "Positive/dangling.jpg": "unreadable",
        "Positive/itself.jpg": "unreadable",
        "Positive/bad\\xff\n.jpg": "empty file",
        "beside.jpg": "not in a class folder",
        ".hidden/1.jpg": "not in a class folder",
    }
    return accepted, rejected


HOSTILE_LIMITS = ImageLimits(min_side=32, max_pixels=100_000, max_bytes=200_000)


@pytest.fixture(scope="module")
def hostile(
    tmp_path_factory: pytest.TempPathFactory, new_bench: "Callable[..., Bench]"
) -> "tuple[Path, dict[str, str], dict[str, str], Bench]":
    """The hostile folder, what is expected of it, and a bench where it was ingested."""
    folder = tmp_path_factory.mktemp("hostile")
    accepted, rejected = _write_hostile_folder(folder)
    bench = new_bench()
    bench.run(_example_gen(folder, max_rejected_share=0.5, limits=HOSTILE_LIMITS))
    return folder, accepted, rejected, bench


Hostile = tuple[Path, dict[str, str], dict[str, str], "Bench"]


def test_every_file_found_is_ingested_or_rejected_with_its_reason(hostile: Hostile) -> None:
    _, accepted, rejected, bench = hostile
    account = bench.json_output("ImageExampleGen", "account")
    assert {row["path"]: row["reason"] for row in account["rejected"]} == rejected
    assert account["found"] == len(accepted) + len(rejected)
    assert account["ingested"] == len(accepted)
    assert all(row["detail"] for row in account["rejected"])
    assert {row["path"]: row["class"] for row in account["rejected"]} == {
        path: path.partition("/")[0] if "/" in path else "" for path in rejected
    }


def test_what_was_not_taken_whole_is_ingested_and_noted(hostile: Hostile) -> None:
    _, accepted, _, bench = hostile
    noted = bench.json_output("ImageExampleGen", "account")["noted"]
    names = ("animation.gif", "animation.png", "animation.webp", "pages.tif")
    assert noted == [
        {"path": f"Positive/{name}", "class": "Positive", "note": "first of several frames"} for name in names
    ]
    assert all(row["path"] in accepted for row in noted)


def test_the_account_counts_the_images_of_each_class_in_each_split(hostile: Hostile) -> None:
    _, accepted, _, bench = hostile
    stored = bench.examples()
    images = bench.json_output("ImageExampleGen", "account")["images"]
    assert images == {
        split: dict(Counter(_bytes(example, features.CLASS_TEXT).decode() for example in examples))
        for split, examples in stored.items()
    }
    totals = sum((Counter(counts) for counts in images.values()), Counter())
    assert totals == Counter(accepted.values())


def test_each_accepted_file_is_stored_once_under_its_path_as_bytes(hostile: Hostile) -> None:
    folder, accepted, _, bench = hostile
    paths = [_bytes(example, features.FILENAME) for split in bench.examples().values() for example in split]
    assert sorted(paths) == sorted(map(os.fsencode, accepted))
    assert all(os.path.isfile(os.path.join(os.fsencode(folder), path)) for path in paths)


def test_the_features_of_a_stored_example_describe_its_picture(hostile: Hostile) -> None:
    folder, accepted, _, bench = hostile
    kept_kinds = {("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "L")}
    for example in (example for split in bench.examples().values() for example in split):
        path = os.fsdecode(_bytes(example, features.FILENAME))
        encoded, name = _bytes(example, features.ENCODED), accepted[path]
        with Image.open(folder / path) as original, Image.open(io.BytesIO(encoded)) as stored:
            shown = original.convert("RGB")
            np.testing.assert_array_equal(np.asarray(stored.convert("RGB")), np.asarray(shown))
            assert (stored.format or "").lower() == _bytes(example, features.FORMAT).decode()
            if (original.format, original.mode) in kept_kinds and getattr(original, "n_frames", 1) == 1:
                assert encoded == (folder / path).read_bytes()
        grey = np.asarray(shown.convert("L"), np.float64)
        assert (_int(example, features.WIDTH), _int(example, features.HEIGHT)) == shown.size
        assert _bytes(example, features.CLASS_TEXT).decode() == name
        assert _int(example, features.CLASS_LABEL) == ["Negative", "Positive"].index(name)
        assert _float(example, features.BRIGHTNESS) == pytest.approx(grey.mean(), rel=1e-5)
        assert _float(example, features.CONTRAST) == pytest.approx(grey.std(), rel=1e-4)
        quality = measure(np.asarray(shown.convert("L")))
        assert _float(example, features.SHARPNESS) == pytest.approx(quality.sharpness, rel=1e-6)
        assert _float(example, features.ENTROPY) == pytest.approx(quality.entropy, rel=1e-6)
        assert _int(example, features.BYTES) == (folder / path).stat().st_size
        assert set(example.features.feature) == {
            features.ENCODED,
            features.FORMAT,
            features.HEIGHT,
            features.WIDTH,
            features.FILENAME,
            features.CLASS_TEXT,
            features.CLASS_LABEL,
            features.BRIGHTNESS,
            features.CONTRAST,
            features.SHARPNESS,
            features.ENTROPY,
            features.BYTES,
            features.GROUP,
        }


def test_copies_of_one_picture_share_a_group_and_a_split(hostile: Hostile) -> None:
    folder, accepted, _, bench = hostile
    split_of_group: dict[bytes, set[str]] = {}
    paths_of_group: dict[bytes, list[str]] = {}
    for split, examples in bench.examples().items():
        for example in examples:
            split_of_group.setdefault(_bytes(example, features.GROUP), set()).add(split)
            paths_of_group.setdefault(_bytes(example, features.GROUP), []).append(
                os.fsdecode(_bytes(example, features.FILENAME))
            )
    assert {len(splits) for splits in split_of_group.values()} == {1}
    # Not vacuous: the copies do fall into one group each, and their groups into more than one split.
    pixels = {
        path: hashlib.sha256(np.asarray(Image.open(folder / path).convert("RGB")).tobytes()).digest()
        for path in accepted
    }
    by_pixels = Counter(pixels.values())
    assert sorted(map(len, paths_of_group.values())) == sorted(by_pixels.values())
    assert list(by_pixels.values()).count(COPIES) == COPIED
    assert len({str(splits) for group, splits in split_of_group.items() if len(paths_of_group[group]) == COPIES}) > 1
    assert bench.json_output("ImageExampleGen", "account")["groups"] == len(by_pixels)


def test_two_worker_processes_store_the_same_examples_as_one(
    hostile: Hostile, new_bench: "Callable[..., Bench]"
) -> None:
    folder, _, _, bench = hostile
    parallel = new_bench(workers=2)
    parallel.run(_example_gen(folder, max_rejected_share=0.5, limits=HOSTILE_LIMITS))

    def contents(stored: "Examples") -> dict[str, list[bytes]]:
        return {
            split: sorted(example.SerializeToString(deterministic=True) for example in examples)
            for split, examples in stored.items()
        }

    assert contents(parallel.examples()) == contents(bench.examples())
    assert parallel.json_output("ImageExampleGen", "account") == bench.json_output("ImageExampleGen", "account")


def test_the_cache_answers_until_the_folder_or_an_option_changes(
    photographs: Path, tmp_path: Path, new_bench: "Callable[..., Bench]"
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(photographs, folder)
    bench = new_bench()

    def state_after_run(**changes: Any) -> str:
        bench.run(_example_gen(folder, **changes))
        return bench.states("ImageExampleGen")[-1]

    assert state_after_run() == "COMPLETE"
    splits = _split_by_path(bench.examples())
    assert state_after_run() == "CACHED"
    assert _split_by_path(bench.examples()) == splits

    _photograph(7).save(folder / "Negative" / "new.png")
    assert state_after_run() == "COMPLETE"
    grown = _split_by_path(bench.examples())
    assert set(grown) - set(splits) == {"Negative/new.png"}
    assert splits.items() <= grown.items(), "an image stays in its split when others are added"

    # A corrected label: same file, same size, same modification time.
    (folder / "Negative" / "00001.jpg").rename(folder / "Positive" / "corrected.jpg")
    assert state_after_run() == "COMPLETE"
    corrected = {
        _bytes(example, features.FILENAME): _bytes(example, features.CLASS_TEXT)
        for examples in bench.examples().values()
        for example in examples
    }
    assert corrected[b"Positive/corrected.jpg"] == b"Positive"
    assert b"Negative/00001.jpg" not in corrected

    for option in ({"limits": ImageLimits(min_side=33)}, {"split_ratios": {"train": 60, "eval": 20, "test": 20}}):
        assert state_after_run(**option) == "COMPLETE"
        assert state_after_run(**option) == "CACHED"
    assert state_after_run(source_digest="edited") == "COMPLETE"


def test_splits_keep_their_images_when_the_folder_doubles(
    tmp_path: Path, photographs: Path, new_bench: "Callable[..., Bench]"
) -> None:
    # Another bench and another place: nothing but the pixels decides.
    small, large = new_bench(), new_bench()
    write_sample_data(tmp_path, 80, size=64)
    small.run(_example_gen(photographs))
    large.run(_example_gen(tmp_path))
    before, after = _split_by_path(small.examples()), _split_by_path(large.examples())
    assert len(before) == 40
    assert len(after) == 80
    assert before.items() <= after.items()


def test_three_classes_are_labelled_in_the_order_given(
    tmp_path: Path, photographs: Path, new_bench: "Callable[..., Bench]"
) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    (tmp_path / "Rust").mkdir()
    for number in range(30):
        _photograph(number).save(tmp_path / "Rust" / f"{number}.png")
    classes = ["Rust", "Positive", "Negative"]
    bench = new_bench()
    bench.run(_example_gen(tmp_path, classes))
    labels = Counter(
        (_bytes(example, features.CLASS_TEXT).decode(), _int(example, features.CLASS_LABEL))
        for examples in bench.examples().values()
        for example in examples
    )
    assert labels == {("Rust", 0): 30, ("Positive", 1): 20, ("Negative", 2): 20}


def test_top_folders_that_are_no_class_are_accounted_for(
    tmp_path: Path, photographs: Path, new_bench: "Callable[..., Bench]"
) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    (tmp_path / "Unsorted").mkdir()
    _photograph(1).save(tmp_path / "Unsorted" / "1.png")
    bench = new_bench()
    bench.run(_example_gen(tmp_path, ["Negative", "Positive"]))
    assert bench.json_output("ImageExampleGen", "account")["rejected"] == [
        {
            "path": "Unsorted/1.png",
            "class": "Unsorted",
            "reason": "not in a class folder",
            "detail": "the classes are Negative, Positive",
        }
    ]


def _nothing(_: Path) -> None:
    pass


def _only_rubbish(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "1.jpg").write_text("rubbish")


def _one_class(folder: Path) -> None:
    write_sample_data(folder, 40, size=32)
    shutil.rmtree(folder / "Negative")


def _one_class_of_rubbish(folder: Path) -> None:
    write_sample_data(folder, 40, size=32)
    for file in (folder / "Negative").iterdir():
        file.write_text("rubbish")


def _three_rejected(folder: Path) -> None:
    write_sample_data(folder, 57, size=32)
    for name in "123":
        (folder / "Positive" / name).touch()


def _two_images_each(folder: Path) -> None:
    write_sample_data(folder, 4, size=32)


def _copies_only(folder: Path) -> None:
    # Many files, but one picture of each class: every split but one must lack the class.
    write_sample_data(folder, 2, size=32)
    for file in list(folder.rglob("*.jpg")):
        for number in range(30):
            shutil.copy(file, file.with_name(f"copy {number}.jpg"))


def _folder_name_not_utf8(folder: Path) -> None:
    write_sample_data(folder, 40, size=32)
    (folder / "Positive").rename(folder / os.fsdecode(b"R\xedssig"))


@pytest.mark.parametrize(
    ("write", "classes", "reasons"),
    [
        (_nothing, None, ["no usable image among 0 files"]),
        (_only_rubbish, None, ["no usable image among 2 files, for example 'a/1.jpg' (not an image)"]),
        (_one_class, None, ["two classes or more, the only one is 'Positive'"]),
        (_one_class, ["Positive", "Absent"], ["no usable image of class 'Absent'"]),
        (_one_class_of_rubbish, None, ["no usable image of class 'Negative'", "20 of 40 files were rejected (50.0%)"]),
        (_three_rejected, None, ["3 of 60 files were rejected (5.0%), allowed are 4.0%"]),
        (_copies_only, None, ["split 'train' has no image of class", "(62 images are too few to split)"]),
        (_two_images_each, None, ["split 'eval' has no image of class", "raise data.split.eval"]),
        (_folder_name_not_utf8, None, [r"the name of class folder b'R\xedssig' is not UTF-8: rename it"]),
    ],
)
def test_data_that_can_come_to_nothing_stops_the_run_and_says_why(
    tmp_path: Path,
    new_bench: "Callable[..., Bench]",
    write: Callable[[Path], None],
    classes: list[str] | None,
    reasons: list[str],
) -> None:
    write(tmp_path)
    bench = new_bench()
    with pytest.raises(DataRejectedError) as caught:
        bench.run(_example_gen(tmp_path, classes, max_rejected_share=0.04))
    assert all(any(reason in said for said in caught.value.reasons) for reason in reasons), caught.value.reasons
    assert str(caught.value).isprintable()
    assert bench.states("ImageExampleGen") == ["FAILED"]
    if write is _folder_name_not_utf8:
        assert caught.value.account == {}, "nothing was read"
    else:
        account = caught.value.account
        assert account["found"] == sum(path.is_file() for path in tmp_path.rglob("*"))
        assert account["found"] == account["ingested"] + len(account["rejected"])


def test_a_share_of_rejected_files_exactly_as_allowed_passes(tmp_path: Path, new_bench: "Callable[..., Bench]") -> None:
    _three_rejected(tmp_path)
    bench = new_bench()
    bench.run(_example_gen(tmp_path, max_rejected_share=0.05))
    assert len(bench.json_output("ImageExampleGen", "account")["rejected"]) == 3
