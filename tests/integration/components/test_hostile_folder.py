"""A folder of hostile files and copies, ingested by TFX: all files are accounted for, no copy straddles two splits."""

import hashlib
import io
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from components.leak_check.component import LeakCheck
from crackgate.config.beam import BeamOptions
from crackgate.contracts import stored_example
from crackgate.contracts.image_limits import ImageLimits
from crackgate.images.copies.descriptor import describe
from crackgate.images.image_file import canonical_image
from crackgate.images.quality import measure
from crackgate.images.sample_data import write_sample_data
from tests.helpers.image_files import stored_luma
from tests.helpers.ingested import (
    EVEN,
    bytes_of,
    draw,
    example_gen,
    float_of,
    int_of,
    paths_by_group,
    split_by_path,
    splits_of,
)

if TYPE_CHECKING:
    import tensorflow as tf
    from conftest import Bench
    from tfx.dsl.components.base.base_component import BaseComponent

    Examples = dict[str, list[tf.train.Example]]

# Pictures that lie in the hostile folder under several names, and the copies of each.
COPIED, COPIES = 12, 12


def _write_copies(folder: Path) -> None:
    """Each of a dozen pictures a dozen times: renamed, nested, in other formats, resized, darker, mirrored, turned."""
    (folder / "nested" / "deep").mkdir(parents=True)
    for number in range(COPIED):
        picture = draw(number)
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
    picture, other = draw(40), draw(41)
    picture.save(folder / "Negative" / "conflict.png")
    picture.save(folder / "Negative" / "nested" / "a conflict.jpg", quality=60)
    ImageOps.mirror(picture).save(folder / "Positive" / "conflict, mirrored.png")
    # Noted as well, if it were ingested.
    picture.save(folder / "Positive" / "conflict.gif", save_all=True, append_images=[draw(42)])
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
    draw(24).convert("CMYK").save(positive / "cmyk.jpg")
    draw(25).convert("L").save(positive / "grey.png")
    draw(20).save(positive / "photograph.webp", lossless=True)
    draw(21).save(positive / "photograph.tif", compression="tiff_lzw")
    names = {"cmyk.jpg": 24, "grey.png": 25, "photograph.webp": 20, "photograph.tif": 21}
    for name in ("animation.gif", "animation.png", "animation.webp", "pages.tif"):
        draw(22).save(positive / name, save_all=True, append_images=[draw(23)])
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
    draw(3).save(png, "PNG")
    (positive / "cut.png").write_bytes(png.getvalue()[:-200])
    (positive / "empty.jpg").touch()
    (positive / "text.jpg").write_text("I am no picture")
    draw(4).save(positive / "photograph.ppm")
    draw(5, 32).resize((31, 40)).save(positive / "narrow.png")
    draw(6, 64).resize((320, 320)).save(positive / "wide.png")
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
    }
    return accepted, rejected


HOSTILE_LIMITS = ImageLimits(min_side=32, max_pixels=100_000, max_bytes=200_000)


def _hostile_components(folder: Path) -> "list[BaseComponent]":
    # Twelve groups of twelve copies cannot be split evenly.
    ingest = example_gen(folder, max_rejected_share=0.5, max_imbalance=1.0, split=EVEN, **vars(HOSTILE_LIMITS))
    return [ingest, LeakCheck(examples=ingest.outputs["examples"], copies="group")]


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


def test_what_was_not_taken_whole_is_ingested_with_a_warning(hostile: Hostile) -> None:
    _, accepted, _, bench = hostile
    warnings = bench.json_output("ImageExampleGen", "account")["warnings"]
    names = ("animation.gif", "animation.png", "animation.webp", "pages.tif")
    assert warnings == [
        {"path": f"Positive/{name}", "class": "Positive", "reason": "first of several frames", "detail": ""}
        for name in names
    ]
    assert all(row["path"] in accepted for row in warnings)


def test_the_account_counts_the_images_of_each_class_in_each_split(hostile: Hostile) -> None:
    _, accepted, _, bench = hostile
    stored = bench.examples()
    images = bench.json_output("ImageExampleGen", "account")["splits"]
    assert images == {
        split: dict(Counter(bytes_of(example, stored_example.CLASS_TEXT).decode() for example in examples))
        for split, examples in stored.items()
    }
    totals = sum((Counter(counts) for counts in images.values()), Counter())
    assert totals == Counter(path.partition("/")[0] for path in accepted)


def test_each_accepted_file_is_stored_once_under_its_path_as_bytes(hostile: Hostile) -> None:
    folder, accepted, _, bench = hostile
    paths = [bytes_of(example, stored_example.FILENAME) for split in bench.examples().values() for example in split]
    assert sorted(paths) == sorted(map(os.fsencode, accepted))
    assert all(os.path.isfile(os.path.join(os.fsencode(folder), path)) for path in paths)


def test_the_features_of_a_stored_example_describe_its_picture(hostile: Hostile) -> None:
    folder, _, _, bench = hostile
    kept_kinds = {("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "L")}
    for example in (example for split in bench.examples().values() for example in split):
        path = os.fsdecode(bytes_of(example, stored_example.FILENAME))
        encoded, name = bytes_of(example, stored_example.ENCODED), path.partition("/")[0]
        with Image.open(folder / path) as original, Image.open(io.BytesIO(encoded)) as stored:
            shown = original.convert("RGB")
            np.testing.assert_array_equal(np.asarray(stored.convert("RGB")), np.asarray(shown))
            assert (stored.format or "").lower() == bytes_of(example, stored_example.FORMAT).decode()
            file_format = "jpeg" if original.format == "MPO" else (original.format or "").lower()
            assert bytes_of(example, stored_example.FILE_FORMAT).decode() == file_format
            if (original.format, original.mode) in kept_kinds and getattr(original, "n_frames", 1) == 1:
                assert encoded == (folder / path).read_bytes()
        luma = stored_luma(encoded)
        grey = luma.astype(np.float64)
        assert (int_of(example, stored_example.WIDTH), int_of(example, stored_example.HEIGHT)) == shown.size
        assert bytes_of(example, stored_example.CLASS_TEXT).decode() == name
        assert int_of(example, stored_example.CLASS_LABEL) == ["Negative", "Positive"].index(name)
        assert float_of(example, stored_example.BRIGHTNESS) == pytest.approx(grey.mean(), rel=1e-5)
        assert float_of(example, stored_example.CONTRAST) == pytest.approx(grey.std(), rel=1e-4)
        quality = measure(luma)
        assert float_of(example, stored_example.SHARPNESS) == pytest.approx(quality.sharpness, rel=1e-6)
        assert float_of(example, stored_example.ENTROPY) == pytest.approx(quality.entropy, rel=1e-6)
        assert bytes_of(example, stored_example.DESCRIPTOR) == describe(luma)
        assert int_of(example, stored_example.BYTES) == (folder / path).stat().st_size
        assert set(example.features.feature) == {
            stored_example.ENCODED,
            stored_example.FORMAT,
            stored_example.FILE_FORMAT,
            stored_example.CAMERA,
            stored_example.HEIGHT,
            stored_example.WIDTH,
            stored_example.FILENAME,
            stored_example.CLASS_TEXT,
            stored_example.CLASS_LABEL,
            stored_example.BRIGHTNESS,
            stored_example.CONTRAST,
            stored_example.SHARPNESS,
            stored_example.ENTROPY,
            stored_example.BYTES,
            stored_example.DESCRIPTOR,
            stored_example.GROUP,
        }


def test_copies_share_a_group_and_a_split_and_different_pictures_do_not(hostile: Hostile) -> None:
    _, accepted, _, bench = hostile
    groups, splits = paths_by_group(bench.examples()), split_by_path(bench.examples())
    pictures: dict[str, set[str]] = {}
    for path, picture in accepted.items():
        pictures.setdefault(picture, set()).add(path)
    assert sorted(map(sorted, groups.values())) == sorted(map(sorted, pictures.values()))
    assert {len(splits_of(paths, splits)) for paths in groups.values()} == {1}
    # Not vacuous: the many copies fall into more than one split.
    planted = [paths for picture, paths in pictures.items() if len(paths) == COPIES]
    assert len(planted) == COPIED
    assert len(set().union(*(splits_of(paths, splits) for paths in planted))) > 1
    assert bench.json_output("ImageExampleGen", "account")["groups"] == len(pictures)


def test_a_group_is_named_by_the_digest_of_one_of_its_pictures(hostile: Hostile) -> None:
    folder, _, _, bench = hostile
    for name, paths in paths_by_group(bench.examples()).items():
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
    assert (findings["leaks"], findings["groups_in_two_splits"], findings["overlaps"]) == (0, 0, 0)
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
    parallel = new_bench(BeamOptions(args=("--direct_running_mode=multi_processing", "--direct_num_workers=2")))
    parallel.run(*_hostile_components(folder))

    def contents(stored: "Examples") -> dict[str, list[bytes]]:
        return {
            split: sorted(example.SerializeToString(deterministic=True) for example in examples)
            for split, examples in stored.items()
        }

    assert contents(parallel.examples()) == contents(bench.examples())
    for component, key in (("ImageExampleGen", "account"), ("LeakCheck", "findings")):
        assert parallel.json_output(component, key) == bench.json_output(component, key)
