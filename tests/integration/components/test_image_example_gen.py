"""ImageExampleGen, run by TFX's launcher: its cache, its options, and what stops the run."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageDraw, ImageOps

from components.shared import parameters
from crackgate.config.data import SplitRatios
from crackgate.contracts import stored_example
from crackgate.contracts.errors import DataRejectedError
from crackgate.contracts.label_conflict import LabelConflict
from crackgate.images.sample_data import write_sample_data
from tests.helpers.ingested import EVEN, bytes_of, draw, example_gen, int_of, paths_by_group, split_by_path, splits_of

if TYPE_CHECKING:
    from conftest import Bench


@pytest.fixture(scope="module")
def plain(
    tmp_path_factory: pytest.TempPathFactory, photographs: Path, new_bench: "Callable[..., Bench]"
) -> "tuple[Path, Bench, dict[str, str]]":
    """A copy of the photographs, which one test changes, a bench where it was ingested, and the splits by path."""
    folder = tmp_path_factory.mktemp("plain") / "data"
    shutil.copytree(photographs, folder)
    bench = new_bench()
    bench.run(example_gen(folder))
    return folder, bench, split_by_path(bench.examples())


def test_the_cache_answers_until_the_folder_an_option_or_the_code_changes(
    plain: "tuple[Path, Bench, dict[str, str]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, bench, first_splits = plain
    splits = dict(first_splits)

    def state_after_run(**changes: Any) -> str:
        bench.run(example_gen(folder, **changes))
        return bench.states("ImageExampleGen")[-1]

    assert bench.states("ImageExampleGen") == ["COMPLETE"]
    assert state_after_run() == "CACHED"
    assert split_by_path(bench.examples()) == splits

    # A corrected label: same file, same size, same modification time.
    (folder / "Negative" / "00001.jpg").rename(folder / "Positive" / "corrected.jpg")
    assert state_after_run() == "COMPLETE"
    corrected = {
        bytes_of(example, stored_example.FILENAME): bytes_of(example, stored_example.CLASS_TEXT)
        for examples in bench.examples().values()
        for example in examples
    }
    assert corrected[b"Positive/corrected.jpg"] == b"Positive"
    assert b"Negative/00001.jpg" not in corrected
    splits["Positive/corrected.jpg"] = splits.pop("Negative/00001.jpg")
    assert split_by_path(bench.examples()) == splits

    for option in ({"min_side": 33}, {"split": SplitRatios(train=60, eval=20, test=20)}):
        assert state_after_run(**option) == "COMPLETE"
        assert state_after_run(**option) == "CACHED"
    monkeypatch.setattr(parameters, "code_digest", lambda *_: "of other code")
    assert state_after_run() == "COMPLETE"


def test_images_stay_in_their_splits_when_30_are_added_and_all_are_renamed(
    plain: "tuple[Path, Bench, dict[str, str]]", tmp_path: Path, photographs: Path, new_bench: "Callable[..., Bench]"
) -> None:
    _, _, before = plain
    # Another bench and another place: nothing but the pixels decides.
    for path in photographs.rglob("*.jpg"):
        (tmp_path / path.parent.name / "moved").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / path.parent.name / "moved" / f"{path.name[::-1]}.jpeg")
    for number in range(30):
        draw(100 + number).save(tmp_path / "Negative" / f"new {number}.png")
    bench = new_bench()
    bench.run(example_gen(tmp_path))
    after = split_by_path(bench.examples())
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
        draw({"Negative": 200, "Positive": 201}[label]).save(folder / label / "site-" / "nameless.png")
    draw(210).save(folder / "Positive" / "elsewhere.png")
    draw(211).save(folder / "Positive" / os.fsdecode(b"caf\xe9.png"))
    (folder / "Negative" / "site-0" / "conflict.png").write_bytes((folder / "Positive" / "elsewhere.png").read_bytes())


def test_with_group_by_sites_stay_together_and_what_names_no_site_is_rejected(
    tmp_path: Path, photographs: Path, new_bench: "Callable[..., Bench]"
) -> None:
    _write_sites(tmp_path, photographs)
    bench = new_bench()
    # The last of the sites' names is empty: its group in the pattern takes no part.
    pattern = r"/site-(\d)?/"
    bench.run(example_gen(tmp_path, group_by=pattern, max_rejected_share=0.2, split=EVEN))
    groups, stored_in = paths_by_group(bench.examples()), split_by_path(bench.examples())
    assert groups == {
        b"%d" % site: {
            str(path.relative_to(tmp_path)) for path in tmp_path.glob(f"*/site-{site}/*") if path.stem != "conflict"
        }
        for site in range(SITES)
    }
    assert {len(splits_of(paths, stored_in)) for paths in groups.values()} == {1}
    assert set(stored_in.values()) == set(stored_example.SPLITS)
    # Whether copies may lie in two splits is for LeakCheck to say.
    assert len({split for path, split in stored_in.items() if path.endswith("copy.jpg")}) > 1

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
        draw(number).save(tmp_path / "Rust" / f"{number}.png")
    # A copy of what is of no class is of no class: no conflict.
    draw(1).save(tmp_path / "Unsorted" / "1.png")
    # Of three classes, two others are named.
    for name in ("Rust", "Positive", "Negative"):
        draw(99).save(tmp_path / name / "conflict.png")
    bench = new_bench()
    bench.run(example_gen(tmp_path, ["Rust", "Positive", "Negative"], max_rejected_share=0.1))
    labels = Counter(
        (bytes_of(example, stored_example.CLASS_TEXT).decode(), int_of(example, stored_example.CLASS_LABEL))
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


def test_frames_that_overlap_share_a_split_and_their_classes_may_differ(
    tmp_path: Path, new_bench: "Callable[..., Bench]"
) -> None:
    for name, first in (("Positive", 0), ("Negative", 100)):
        (tmp_path / name).mkdir()
        for number in range(first, first + 30):
            draw(number, 128).save(tmp_path / name / f"{number}.jpg", quality=92)
    walls = [draw(500 + wall, 300) for wall in range(6)]
    for wall, photograph in enumerate(walls):
        for frame in range(4):
            name = ("Positive", "Negative")[frame % 2]
            part = photograph.crop((40 * frame, 10, 40 * frame + 160, 170))
            part.save(tmp_path / name / f"wall {'abcdef'[wall]} frame {frame}.jpg", quality=92)
    bench = new_bench()
    bench.run(example_gen(tmp_path, max_imbalance=1.0))
    account = bench.json_output("ImageExampleGen", "account")
    assert (account["rejected"], account["warnings"]) == ([], [])
    assert bench.json_output("ImageExampleGen", "conflicts") == []
    assert account["groups"] == 60 + len(walls)
    assert account["overlapping_groups"] == len(walls)
    assert [{os.path.basename(path) for path in paths} for paths in account["overlapping"]] == [
        {f"wall {wall} frame {frame}.jpg" for frame in range(4)} for wall in _in_order(account["overlapping"])
    ]
    placed: dict[bytes, set[tuple[str, bytes]]] = {}
    for split, examples in bench.examples().items():
        for example in examples:
            path = os.path.basename(bytes_of(example, stored_example.FILENAME))
            if path.startswith(b"wall"):
                place = split, bytes_of(example, stored_example.GROUP)
                placed.setdefault(path.partition(b" frame")[0], set()).add(place)
    assert len(placed) == len(walls) and all(len(places) == 1 for places in placed.values())


def _in_order(overlapping: list[list[str]]) -> list[str]:
    """The walls, each named by the first of its frames."""
    walls = [os.path.basename(first).split()[1] for first, *_ in overlapping]
    assert sorted(walls) == list("abcdef")
    return walls


def _with_mask(photograph: Image.Image) -> Image.Image:
    mask = Image.new("L", photograph.size)
    ImageDraw.Draw(mask).ellipse((6, 6, photograph.width - 6, photograph.height - 6), fill=255)
    return Image.composite(photograph, Image.new("RGB", photograph.size), mask)


def test_a_mask_over_all_photographs_and_a_hairline_reject_none_and_a_picture_in_two_classes_is_shown(
    tmp_path: Path, new_bench: "Callable[..., Bench]"
) -> None:
    for name, first in (("Positive", 0), ("Negative", 100)):
        (tmp_path / name).mkdir()
        for number in range(first, first + 30):
            _with_mask(draw(number, 128)).save(tmp_path / name / f"{number}.jpg", quality=92)
    wall = _with_mask(draw(500, 128))
    wall.save(tmp_path / "Negative" / "before.jpg", quality=92)
    ImageDraw.Draw(wall).line([(40, 30), (52, 60), (48, 90)], fill=(40, 40, 40))
    wall.save(tmp_path / "Positive" / "after.jpg", quality=92)
    same = _with_mask(draw(501, 128))
    same.save(tmp_path / "Positive" / "same.jpg", quality=92)
    ImageOps.mirror(same).save(tmp_path / "Negative" / "same, mirrored.jpg", quality=80)
    bench = new_bench()
    bench.run(example_gen(tmp_path, max_rejected_share=0.1, split=EVEN))
    account = bench.json_output("ImageExampleGen", "account")
    assert {row["path"]: row["reason"] for row in account["rejected"]} == {
        "Negative/same, mirrored.jpg": "label conflict",
        "Positive/same.jpg": "label conflict",
    }
    assert {row["path"]: row["detail"] for row in account["warnings"]} == {
        "Negative/before.jpg": "it resembles 'Positive/after.jpg', as 'Positive', and differs at a place: see the data "
        "page",
        "Positive/after.jpg": "it resembles 'Negative/before.jpg', as 'Negative', and differs at a place: see the data "
        "page",
    }
    groups = paths_by_group(bench.examples()).values()
    assert [paths for paths in groups if len(paths) > 1] == [{"Negative/before.jpg", "Positive/after.jpg"}]
    rejected, kept = map(LabelConflict.model_validate, bench.json_output("ImageExampleGen", "conflicts"))
    assert rejected.rejected and not kept.rejected
    for pair, paths in ((rejected, account["rejected"]), (kept, account["warnings"])):
        assert [pair.one.path, pair.other.path] == [row["path"] for row in paths]
        assert all(image.thumbnail.startswith("data:image/jpeg;base64,") for image in (pair.one, pair.other))


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
        (_copies_only, ["split 'eval' has no image of class", "62 images form 2 groups"]),
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
        bench.run(example_gen(tmp_path, max_rejected_share=0.04, split=EVEN))
    assert all(any(reason in said for said in caught.value.reasons) for reason in reasons), caught.value.reasons
    assert str(caught.value).isprintable()
    assert bench.states("ImageExampleGen") == ["FAILED"]
    if write is _folder_name_not_utf8:
        assert caught.value.account is None, "nothing was read"
    else:
        account = caught.value.account
        assert account is not None and account.found == sum(path.is_file() for path in tmp_path.rglob("*"))
        assert account.found == account.ingested + len(account.rejected)
