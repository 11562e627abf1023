"""ImageExampleGen, run by TFX's launcher: every file is accounted for, and copies never straddle two splits."""

import hashlib
import io
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from components import features
from components.copies.descriptor import describe
from components.errors import DataRejectedError
from components.image_example_gen.component import ImageExampleGen
from components.image_folder import find_classes
from components.images import ImageLimits, canonical_image
from components.leak_check.component import LeakCheck
from components.quality import measure
from pipeline.sample_data import draw_photograph, write_sample_data

if TYPE_CHECKING:
    import tensorflow as tf
    from conftest import Bench
    from tfx.dsl.components.base.base_component import BaseComponent

    Examples = dict[str, list[tf.train.Example]]

RATIOS = {"train": 70, "eval": 15, "test": 15}
EVEN = dict.fromkeys(features.SPLITS, 1)
# Pictures that lie in the hostile folder under several names, and the copies of each.
COPIED, COPIES = 12, 12


def _example_gen(
    folder: Path, classes: list[str] | None = None, max_rejected_share: float = 0.05, **changes: Any
) -> ImageExampleGen:
    options: dict[str, Any] = {
        "split_ratios": RATIOS,
        "limits": ImageLimits(),
        "max_imbalance": 0.1,
        "group_by": "",
        "source_digest": "digest",
        **changes,
    }
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


def _photograph(number: int, size: int = 64) -> Image.Image:
    return draw_photograph(False, np.random.default_rng([99, number]), size)


def _groups(stored: "Examples") -> dict[bytes, set[str]]:
    """The paths of every group."""
    groups: dict[bytes, set[str]] = {}
    for example in (example for examples in stored.values() for example in examples):
        path = os.fsdecode(_bytes(example, features.FILENAME))
        groups.setdefault(_bytes(example, features.GROUP), set()).add(path)
    return groups


def _splits(paths: set[str], split_by_path: dict[str, str]) -> set[str]:
    return {split_by_path[path] for path in paths}


def _write_copies(folder: Path) -> None:
    """Each of a dozen pictures a dozen times: renamed, nested, in other formats, resized, darker, mirrored, turned."""
    (folder / "nested" / "deep").mkdir(parents=True)
    for number in range(COPIED):
        picture = _photograph(number)
        picture.save(folder / f"{number}.png")
        picture.save(folder / f"copy of {number}.bmp")
        picture.save(folder / f"{number} packed.png", compress_level=0)
        picture.convert("RGBA").save(folder / f"{number} alpha.png")
        shutil.copy(folder / f"{number}.png", folder / "nested" / "deep" / f"{number}.jpg")
        picture.save(folder / f"{number} re-encoded.jpg", quality=50)
        picture.resize((128, 128), Image.Resampling.BICUBIC).save(folder / "nested" / f"{number} doubled.png")
        darker = ImageEnhance.Brightness(picture).enhance(0.7)
        darker.save(folder / f"{number} darker.png")
        ImageOps.mirror(picture).save(folder / f"{number} mirrored.png")
        picture.transpose(Image.Transpose.ROTATE_90).save(folder / "nested" / "deep" / f"turned {number}.png")
        ImageOps.flip(darker).save(folder / f"z{number}.jpg", quality=80)
        ImageOps.grayscale(picture).resize((96, 96), Image.Resampling.BICUBIC).save(folder / f"{number} grey.webp")


def _write_conflicts(folder: Path) -> set[str]:
    """Two pictures that lie in both classes; returns their paths as in the account."""
    picture, other = _photograph(40), _photograph(41)
    picture.save(folder / "Negative" / "conflict.png")
    picture.save(folder / "Negative" / "nested" / "a conflict.jpg", quality=60)
    ImageOps.mirror(picture).save(folder / "Positive" / "conflict, mirrored.png")
    # Noted as well, if it were ingested.
    picture.save(folder / "Positive" / "conflict.gif", save_all=True, append_images=[_photograph(42)])
    other.save(folder / "Negative" / os.fsdecode(b"conflict \xe9\n.png"))
    other.save(folder / "Positive" / "the other conflict.png")
    return {
        "Negative/conflict.png",
        "Negative/nested/a conflict.jpg",
        "Positive/conflict, mirrored.png",
        "Positive/conflict.gif",
        "Negative/conflict \\xe9\n.png",
        "Positive/the other conflict.png",
    }


def _write_hostile_folder(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Writes files good and bad; returns the picture on each accepted path and the reason of each rejected one.

    Paths of rejected ones are as in the account: what is no UTF-8 is written with backslashes.
    """
    write_sample_data(folder, 24, size=64)
    accepted = {str(path.relative_to(folder)): str(path) for path in folder.rglob("*.jpg")}
    _write_copies(folder / "Negative")
    for path in folder.rglob("*.*"):
        picture = re.sub(r"\D", "", path.stem)
        accepted.setdefault(str(path.relative_to(folder)), f"photograph {picture}")

    positive = folder / "Positive"
    jpeg = (positive / "00001.jpg").read_bytes()
    for name in ("a b.jpg", "new\nline.jpg", "Riß 裂缝.jpg", os.fsdecode(b"caf\xe9.jpg"), "no extension"):
        (positive / name).write_bytes(jpeg)
        accepted[f"Positive/{name}"] = accepted["Positive/00001.jpg"]
    _photograph(24).convert("CMYK").save(positive / "cmyk.jpg")
    _photograph(25).convert("L").save(positive / "grey.png")
    _photograph(20).save(positive / "photograph.webp", lossless=True)
    _photograph(21).save(positive / "photograph.tif", compression="tiff_lzw")
    names = {"cmyk.jpg": 24, "grey.png": 25, "photograph.webp": 20, "photograph.tif": 21}
    for name in ("animation.gif", "animation.png", "animation.webp", "pages.tif"):
        _photograph(22).save(positive / name, save_all=True, append_images=[_photograph(23)])
        names[name] = 22
    accepted |= {f"Positive/{name}": f"photograph {number}" for name, number in names.items()}
    (positive / "link.jpg").symlink_to("00002.jpg")
    accepted["Positive/link.jpg"] = accepted["Positive/00002.jpg"]
    # Without texture only identical images are copies.
    for name, grey in (("blank", 128), ("blank again", 128), ("another blank", 129)):
        Image.new("L", (64, 64), grey).save(positive / f"{name}.png")
        accepted[f"Positive/{name}.png"] = f"blank {grey}"
    rejected = dict.fromkeys(_write_conflicts(folder), "label conflict")

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
    rejected |= {
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


def _hostile_components(folder: Path) -> "list[BaseComponent]":
    # Twelve groups of twelve copies cannot be split evenly.
    example_gen = _example_gen(folder, max_rejected_share=0.5, limits=HOSTILE_LIMITS, max_imbalance=1.0)
    return [example_gen, LeakCheck(examples=example_gen.outputs["examples"], source_digest="digest")]


@pytest.fixture(scope="module")
def hostile(
    tmp_path_factory: pytest.TempPathFactory, new_bench: "Callable[..., Bench]"
) -> "tuple[Path, dict[str, str], dict[str, str], Bench]":
    """The hostile folder, what is expected of it, and a bench where it was ingested."""
    folder = tmp_path_factory.mktemp("hostile")
    accepted, rejected = _write_hostile_folder(folder)
    bench = new_bench()
    bench.run(*_hostile_components(folder))
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
    assert totals == Counter(path.partition("/")[0] for path in accepted)


def test_each_accepted_file_is_stored_once_under_its_path_as_bytes(hostile: Hostile) -> None:
    folder, accepted, _, bench = hostile
    paths = [_bytes(example, features.FILENAME) for split in bench.examples().values() for example in split]
    assert sorted(paths) == sorted(map(os.fsencode, accepted))
    assert all(os.path.isfile(os.path.join(os.fsencode(folder), path)) for path in paths)


def test_the_features_of_a_stored_example_describe_its_picture(hostile: Hostile) -> None:
    folder, _, _, bench = hostile
    kept_kinds = {("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "L")}
    for example in (example for split in bench.examples().values() for example in split):
        path = os.fsdecode(_bytes(example, features.FILENAME))
        encoded, name = _bytes(example, features.ENCODED), path.partition("/")[0]
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
        assert _bytes(example, features.DESCRIPTOR) == describe(np.asarray(shown.convert("L")))
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
            features.DESCRIPTOR,
            features.GROUP,
        }


def test_copies_share_a_group_and_a_split_and_different_pictures_do_not(hostile: Hostile) -> None:
    _, accepted, _, bench = hostile
    groups, split_by_path = _groups(bench.examples()), _split_by_path(bench.examples())
    pictures: dict[str, set[str]] = {}
    for path, picture in accepted.items():
        pictures.setdefault(picture, set()).add(path)
    assert sorted(map(sorted, groups.values())) == sorted(map(sorted, pictures.values()))
    assert {len(_splits(paths, split_by_path)) for paths in groups.values()} == {1}
    # Not vacuous: the many copies fall into more than one split.
    planted = [paths for picture, paths in pictures.items() if len(paths) == COPIES]
    assert len(planted) == COPIED
    assert len(set().union(*(_splits(paths, split_by_path) for paths in planted))) > 1
    assert bench.json_output("ImageExampleGen", "account")["groups"] == len(pictures)


def test_a_group_is_named_by_the_digest_of_one_of_its_pictures(hostile: Hostile) -> None:
    folder, _, _, bench = hostile
    for name, paths in _groups(bench.examples()).items():
        lumas = [canonical_image((folder / path).read_bytes(), HOSTILE_LIMITS).luma for path in paths]
        assert name.decode() in [hashlib.sha256(describe(luma)).hexdigest()[:32] for luma in lumas]


def test_pictures_that_lie_in_two_classes_are_rejected_and_name_each_other(hostile: Hostile) -> None:
    _, _, rejected, bench = hostile
    rows = [row for row in bench.json_output("ImageExampleGen", "account")["rejected"] if "conflict" in row["path"]]
    others = {
        "Negative/conflict.png": "Positive/conflict, mirrored.png",
        "Negative/nested/a conflict.jpg": "Positive/conflict, mirrored.png",
        "Positive/conflict, mirrored.png": "Negative/conflict.png",
        "Positive/conflict.gif": "Negative/conflict.png",
        "Negative/conflict \\xe9\n.png": "Positive/the other conflict.png",
        "Positive/the other conflict.png": "Negative/conflict \\xe9\n.png",
    }
    assert others.keys() == {path for path, reason in rejected.items() if reason == "label conflict"}
    assert {row["path"]: row["detail"] for row in rows} == {
        path: f"the same picture is in {other!r}, as {other.partition('/')[0]!r}" for path, other in others.items()
    }


def test_the_leak_check_passes_what_ingest_has_split(hostile: Hostile) -> None:
    _, accepted, _, bench = hostile
    findings = bench.json_output("LeakCheck", "findings")
    assert findings == {"pairs": findings["pairs"], "leaks": 0, "examples": [], "groups_in_two_splits": 0}
    # A group hangs together by so many pairs or more.
    assert findings["pairs"] >= len(accepted) - len(set(accepted.values()))


def test_nothing_is_left_of_the_staged_images(hostile: Hostile) -> None:
    _, _, _, bench = hostile
    files = [path for path in bench.root.rglob("*") if path.is_file() and path.stat().st_size > 0]
    kept = {path.parent.name for path in files if "examples" in path.name}
    assert kept == set()
    assert {path.parent.name for path in files if path.suffix == ".gz"} == {"Split-train", "Split-eval", "Split-test"}


def test_two_worker_processes_store_the_same_examples_as_one(
    hostile: Hostile, new_bench: "Callable[..., Bench]"
) -> None:
    folder, _, _, bench = hostile
    parallel = new_bench(workers=2)
    parallel.run(*_hostile_components(folder))

    def contents(stored: "Examples") -> dict[str, list[bytes]]:
        return {
            split: sorted(example.SerializeToString(deterministic=True) for example in examples)
            for split, examples in stored.items()
        }

    assert contents(parallel.examples()) == contents(bench.examples())
    for component, key in (("ImageExampleGen", "account"), ("LeakCheck", "findings")):
        assert parallel.json_output(component, key) == bench.json_output(component, key)


@pytest.fixture(scope="module")
def plain(
    tmp_path_factory: pytest.TempPathFactory, photographs: Path, new_bench: "Callable[..., Bench]"
) -> "tuple[Path, Bench, dict[str, str]]":
    """A copy of the photographs, which one test changes, a bench where it was ingested, and the splits by path."""
    folder = tmp_path_factory.mktemp("plain") / "data"
    shutil.copytree(photographs, folder)
    bench = new_bench()
    bench.run(_example_gen(folder))
    return folder, bench, _split_by_path(bench.examples())


def test_the_cache_answers_until_the_folder_or_an_option_changes(plain: "tuple[Path, Bench, dict[str, str]]") -> None:
    folder, bench, first_splits = plain
    splits = dict(first_splits)

    def state_after_run(**changes: Any) -> str:
        bench.run(_example_gen(folder, **changes))
        return bench.states("ImageExampleGen")[-1]

    assert bench.states("ImageExampleGen") == ["COMPLETE"]
    assert state_after_run() == "CACHED"
    assert _split_by_path(bench.examples()) == splits

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
    splits["Positive/corrected.jpg"] = splits.pop("Negative/00001.jpg")
    assert _split_by_path(bench.examples()) == splits

    for option in ({"limits": ImageLimits(min_side=33)}, {"split_ratios": {"train": 60, "eval": 20, "test": 20}}):
        assert state_after_run(**option) == "COMPLETE"
        assert state_after_run(**option) == "CACHED"
    assert state_after_run(source_digest="edited") == "COMPLETE"


def test_images_stay_in_their_splits_when_30_are_added_and_all_are_renamed(
    plain: "tuple[Path, Bench, dict[str, str]]", tmp_path: Path, photographs: Path, new_bench: "Callable[..., Bench]"
) -> None:
    _, _, before = plain
    # Another bench and another place: nothing but the pixels decides.
    for path in photographs.rglob("*.jpg"):
        (tmp_path / path.parent.name / "moved").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / path.parent.name / "moved" / f"{path.name[::-1]}.jpeg")
    for number in range(30):
        _photograph(100 + number).save(tmp_path / "Negative" / f"new {number}.png")
    bench = new_bench()
    bench.run(_example_gen(tmp_path))
    after = _split_by_path(bench.examples())
    assert len(before) == 40
    assert len(after) == 70
    assert bench.json_output("ImageExampleGen", "account")["groups"] == 70
    moved = {f"{Path(path).parent}/moved/{Path(path).name[::-1]}.jpeg": split for path, split in before.items()}
    assert moved.items() <= after.items()


SITES = 8


def _write_sites(folder: Path, photographs: Path) -> None:
    """The photographs, dealt out to eight sites, the first of each class with a copy at every other site."""
    for label in ("Negative", "Positive"):
        for number, path in enumerate(sorted((photographs / label).iterdir())):
            site = folder / label / f"site-{number % SITES}"
            site.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, site)
            if number == 0:
                for other in range(1, SITES):
                    site.with_name(f"site-{other}").mkdir()
                    shutil.copy(path, site.with_name(f"site-{other}") / "copy.jpg")
        (folder / label / "site-").mkdir()
        _photograph({"Negative": 200, "Positive": 201}[label]).save(folder / label / "site-" / "nameless.png")
    _photograph(210).save(folder / "Positive" / "elsewhere.png")
    _photograph(211).save(folder / "Positive" / os.fsdecode(b"caf\xe9.png"))
    (folder / "Negative" / "site-0" / "conflict.png").write_bytes((folder / "Positive" / "elsewhere.png").read_bytes())


def test_with_group_by_sites_stay_together_and_what_names_no_site_is_rejected(
    tmp_path: Path, photographs: Path, new_bench: "Callable[..., Bench]"
) -> None:
    _write_sites(tmp_path, photographs)
    bench = new_bench()
    # The last of the sites' names is empty: its group in the pattern takes no part.
    pattern = r"/site-(\d)?/"
    bench.run(_example_gen(tmp_path, group_by=pattern, max_rejected_share=0.2, split_ratios=EVEN))
    groups, split_by_path = _groups(bench.examples()), _split_by_path(bench.examples())
    assert groups == {
        b"%d" % site: {
            str(path.relative_to(tmp_path)) for path in tmp_path.glob(f"*/site-{site}/*") if path.stem != "conflict"
        }
        for site in range(SITES)
    }
    assert {len(_splits(paths, split_by_path)) for paths in groups.values()} == {1}
    assert set(split_by_path.values()) == set(features.SPLITS)
    # Whether copies may lie in two splits is for LeakCheck to say.
    assert len({split for path, split in split_by_path.items() if path.endswith("copy.jpg")}) > 1

    account = bench.json_output("ImageExampleGen", "account")
    assert {row["path"]: row["reason"] for row in account["rejected"]} == {
        "Negative/site-/nameless.png": "no group",
        "Positive/site-/nameless.png": "no group",
        "Positive/caf\\xe9.png": "no group",
        "Positive/elsewhere.png": "label conflict",
        "Negative/site-0/conflict.png": "label conflict",
    }
    details = {row["detail"] for row in account["rejected"] if row["reason"] == "no group"}
    assert details == {f"data.group_by {pattern!r} finds no name in the path"}
    assert account["groups"] == SITES
    assert account["found"] == sum(path.is_file() for path in tmp_path.rglob("*")) == account["ingested"] + 5


def test_three_classes_are_labelled_in_the_order_given_and_other_top_folders_accounted_for(
    tmp_path: Path, photographs: Path, new_bench: "Callable[..., Bench]"
) -> None:
    shutil.copytree(photographs, tmp_path, dirs_exist_ok=True)
    for name in ("Rust", "Unsorted"):
        (tmp_path / name).mkdir()
    for number in range(30):
        _photograph(number).save(tmp_path / "Rust" / f"{number}.png")
    # A copy of what is of no class is of no class: no conflict.
    _photograph(1).save(tmp_path / "Unsorted" / "1.png")
    # Of three classes, two others are named.
    for name in ("Rust", "Positive", "Negative"):
        _photograph(99).save(tmp_path / name / "conflict.png")
    bench = new_bench()
    bench.run(_example_gen(tmp_path, ["Rust", "Positive", "Negative"], max_rejected_share=0.1))
    labels = Counter(
        (_bytes(example, features.CLASS_TEXT).decode(), _int(example, features.CLASS_LABEL))
        for examples in bench.examples().values()
        for example in examples
    )
    assert labels == {("Rust", 0): 30, ("Positive", 1): 20, ("Negative", 2): 20}
    rejected = bench.json_output("ImageExampleGen", "account")["rejected"]
    assert [row["path"] for row in rejected] == [
        "Negative/conflict.png",
        "Positive/conflict.png",
        "Rust/conflict.png",
        "Unsorted/1.png",
    ]
    assert rejected[0]["detail"] == (
        "the same picture is in 'Positive/conflict.png', as 'Positive', 'Rust/conflict.png', as 'Rust'"
    )
    assert rejected[3] == {
        "path": "Unsorted/1.png",
        "class": "Unsorted",
        "reason": "not in a class folder",
        "detail": "the classes are Rust, Positive, Negative",
    }


def _nothing(_: Path) -> None:
    pass


def _rubbish_and_conflicts(folder: Path) -> None:
    write_sample_data(folder, 40, size=64)
    (folder / "Rust").mkdir()
    (folder / "Rust" / "1.jpg").write_text("rubbish")
    for number in range(1, 5):
        with Image.open(folder / "Positive" / f"{number:05d}.jpg") as photograph:
            ImageOps.mirror(photograph).save(folder / "Negative" / f"mirrored {number}.png")


def _one_large_group(folder: Path) -> None:
    # Wherever the copies go, the other two splits have half as many images of the class as there are in all.
    write_sample_data(folder, 80, size=64)
    for number in range(400):
        shutil.copy(folder / "Positive" / "00001.jpg", folder / "Positive" / f"copy {number}.jpg")


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
    ("write", "reasons"),
    [
        (_nothing, ["no usable image among 0 files"]),
        (
            _rubbish_and_conflicts,
            ["no usable image of class 'Rust'", "9 of 45 files were rejected (20.0%), allowed are 4.0%"],
        ),
        (_one_large_group, ["class 'Positive' makes up ", "class 'Negative' makes up ", "(data.max_imbalance)"]),
        (_copies_only, ["split 'eval' has no image of class", "(2 groups of 62 images are too few to split)"]),
        (_folder_name_not_utf8, [r"the name of class folder b'R\xedssig' is not UTF-8: rename it"]),
    ],
)
def test_data_that_can_come_to_nothing_stops_the_run_and_says_why(
    tmp_path: Path,
    new_bench: "Callable[..., Bench]",
    write: Callable[[Path], None],
    reasons: list[str],
) -> None:
    write(tmp_path)
    bench = new_bench()
    with pytest.raises(DataRejectedError) as caught:
        bench.run(_example_gen(tmp_path, max_rejected_share=0.04, split_ratios=EVEN))
    assert all(any(reason in said for said in caught.value.reasons) for reason in reasons), caught.value.reasons
    assert str(caught.value).isprintable()
    assert bench.states("ImageExampleGen") == ["FAILED"]
    if write is _folder_name_not_utf8:
        assert caught.value.account == {}, "nothing was read"
    else:
        account = caught.value.account
        assert account["found"] == sum(path.is_file() for path in tmp_path.rglob("*"))
        assert account["found"] == account["ingested"] + len(account["rejected"])
