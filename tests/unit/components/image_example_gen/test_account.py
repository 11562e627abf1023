"""The account of a data folder: which counts are good enough, and which stop the run for what reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.image_example_gen.account import find_faults, read_account
from crackgate.contracts import stored_example
from crackgate.contracts.account import Account, AccountRow

CLASSES = ["Negative", "Positive"]
Counts = dict[str, dict[str, int]]


def _account(images: Counts, rejected: int = 0) -> Account:
    ingested = sum(sum(counts.values()) for counts in images.values())
    return Account(
        found=ingested + rejected,
        ingested=ingested,
        groups=ingested,
        rejected=[
            AccountRow(path=f"Positive/{number}\n.jpg", class_name="Positive", reason="truncated", detail="cut")
            for number in range(rejected)
        ],
        splits=images,
    )


def _find_faults(account: Account, classes: list[str], max_rejected_share: float, max_imbalance: float) -> list[str]:
    return find_faults(account, classes, max_rejected_share, max_imbalance, {"train": 70, "eval": 15, "test": 15})


def _images(train: tuple[int, ...], evaluation: tuple[int, ...], test: tuple[int, ...]) -> Counts:
    """Images of the classes, Negative first, in the three splits."""
    return {
        split: dict(zip(CLASSES, counts, strict=True))
        for split, counts in zip(stored_example.SPLITS, (train, evaluation, test), strict=True)
    }


GOOD = _images((70, 70), (15, 15), (15, 15))
count = st.integers(1, 5000)
counts = st.builds(_images, *[st.tuples(count, count)] * 3)
share = st.floats(0, 1)


def test_good_counts_have_no_fault() -> None:
    assert _find_faults(_account(GOOD), CLASSES, max_rejected_share=0, max_imbalance=0) == []


@pytest.mark.parametrize(
    ("rejected", "said"),
    [
        (0, "no usable image among 0 files"),
        (2, "no usable image among 2 files, for example 'Positive/0\\n.jpg' (truncated: cut)"),
    ],
)
def test_without_a_usable_image_that_is_all_that_is_said(rejected: int, said: str) -> None:
    (fault,) = _find_faults(_account(_images((0, 0), (0, 0), (0, 0)), rejected), CLASSES, 1, 1)
    assert fault.startswith(said)


def test_one_class_is_no_choice() -> None:
    images = {split: {"Positive": 9} for split in stored_example.SPLITS}
    assert _find_faults(_account(images), ["Positive"], 0, 0) == [
        "only one class, 'Positive': a classifier needs two or more"
    ]


def test_a_class_without_images_is_a_fault_once_and_not_of_every_split() -> None:
    images = _images((70, 0), (15, 0), (15, 0))
    assert _find_faults(_account(images), CLASSES, 0, 0) == [
        "no usable image of class 'Positive': remove the folder or add images"
    ]


@pytest.mark.parametrize("split", stored_example.SPLITS)
def test_a_class_missing_from_one_split_names_split_class_and_what_to_do(split: str) -> None:
    images = GOOD | {split: {"Negative": 30, "Positive": 0}}
    # Everything is missing elsewhere: that is worse than any imbalance, and said alone.
    (fault,) = [fault for fault in _find_faults(_account(images), CLASSES, 0, 1) if repr(split) in fault]
    assert fault.startswith(f"split {split!r} has no image of class 'Positive': ")
    assert f"add images, raise data.split.{split}, or make smaller groups (data.group_by)" in fault
    # By hashing into splits of 15 %: 2 * 0.85 ** 23 is 0.048, and 0.85 ** 22 more than 0.025.
    assert "and 23 or more with images of every class nearly always fill all splits." in fault
    assert "few (60 at most), and 3 of every class are then mostly enough: add" in fault


def test_an_empty_split_names_all_its_classes() -> None:
    (fault,) = _find_faults(_account(_images((70, 70), (15, 15), (0, 0))), CLASSES, 0, 0)
    assert "split 'test' has no image of class 'Negative', 'Positive': 170 images form 170 groups" in fault


@given(rejected=st.integers(1, 199))
def test_exactly_the_allowed_share_of_rejected_files_passes_and_one_more_does_not(rejected: int) -> None:
    images = _images((200 - rejected, 200), (200, 200), (200, 200))
    found = 1200
    assert _find_faults(_account(images, rejected), CLASSES, rejected / found, 1) == []
    (fault,) = _find_faults(_account(images, rejected), CLASSES, (rejected - 0.5) / found, 1)
    assert fault.startswith(f"{rejected} of {found} files were rejected (")
    assert "(data.max_rejected_share), for example 'Positive/0\\n.jpg' (truncated: cut)" in fault


def test_a_share_that_binary_fractions_only_come_near_is_taken_at_its_word() -> None:
    # 0.29 * 100 is less than 29.
    assert _find_faults(_account(_images((21, 20), (5, 10), (5, 10)), 29), CLASSES, 0.29, 1) == []
    assert len(_find_faults(_account(_images((21, 19), (5, 10), (5, 10)), 30), CLASSES, 0.29, 1)) == 1


def test_a_split_is_in_balance_up_to_the_allowance_and_chance() -> None:
    # Of 100 images, three standard deviations of a class of one half are 15.
    assert _find_faults(_account(_images((75, 25), (25, 75), (50, 50))), CLASSES, 0, 0.1001) == []
    faults = _find_faults(_account(_images((76, 24), (24, 76), (50, 50))), CLASSES, 0, 0.1001)
    assert [fault.partition(", allowed is ")[0] for fault in faults] == [
        "class 'Negative' makes up 76.0% of split 'train' and 50.0% of all images",
        "class 'Positive' makes up 24.0% of split 'train' and 50.0% of all images",
        "class 'Negative' makes up 24.0% of split 'eval' and 50.0% of all images",
        "class 'Positive' makes up 76.0% of split 'eval' and 50.0% of all images",
    ]
    assert all("a difference of 10.0% (data.max_imbalance) beyond chance" in fault for fault in faults)


def test_chance_allows_less_the_more_images_there_are() -> None:
    def faults(images: int) -> int:
        tenth = images // 10
        skewed = _images((6 * tenth, 4 * tenth), (4 * tenth, 6 * tenth), (5 * tenth, 5 * tenth))
        return len(_find_faults(_account(skewed), CLASSES, 0, 0))

    # A difference of 10% is three standard deviations of 225 images.
    assert faults(220) == 0
    assert faults(230) == 4


@given(classes=st.lists(count, min_size=2, max_size=5), factors=st.lists(st.integers(1, 50), min_size=3, max_size=3))
def test_splits_of_the_same_shares_are_in_balance_whatever_their_sizes(classes: list[int], factors: list[int]) -> None:
    names = [f"class {number}" for number in range(len(classes))]
    images = {
        split: {name: factor * images for name, images in zip(names, classes, strict=True)}
        for split, factor in zip(stored_example.SPLITS, factors, strict=True)
    }
    assert _find_faults(_account(images), names, 0, 0) == []


@given(images=counts, lower=share, higher=share)
def test_a_wider_allowance_never_finds_more_and_the_widest_nothing(images: Counts, lower: float, higher: float) -> None:
    lower, higher = sorted((lower, higher))

    def faulty(max_imbalance: float) -> set[str]:
        faults = _find_faults(_account(images), CLASSES, 0, max_imbalance)
        return {fault.partition(", allowed is ")[0] for fault in faults}

    assert faulty(1) == set()
    assert faulty(higher) <= faulty(lower)


@given(images=counts)
def test_the_two_classes_of_a_split_are_out_of_balance_together(images: Counts) -> None:
    faults = _find_faults(_account(images), CLASSES, 0, 0)
    for split in stored_example.SPLITS:
        assert sum(f"split {split!r}" in fault for fault in faults) in (0, 2)


def _write_rows(folder: Path, **changed: list[Any]) -> None:
    results = {
        "reasons": [
            [["rejected", "not in a class folder"], [1, [["b", "", ""]]]],
            [["rejected", "label conflict"], [1, [["Positive/a.gif", "Positive", "the same picture"]]]],
            [["warning", "first of several frames"], [2, [[f"Positive/{name}.gif", "Positive", ""] for name in "cb"]]],
        ],
        "groups": [4],
        "overlaps": [[2, ["b/1.jpg", "b/2.jpg"]], [3, ["c/1.jpg", "c/2.jpg"]], [2, ["a/1.jpg", "a/2.jpg"]]],
        "images": [[["train", "Negative"], 3], [["train", "Positive"], 2], [["eval", "Positive"], 1]],
    }
    for name, rows in (results | changed).items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_account_puts_the_results_together(tmp_path: Path) -> None:
    _write_rows(tmp_path)
    account = read_account(str(tmp_path), 8, CLASSES)
    assert (account.found, account.ingested, account.groups) == (8, 6, 4)
    assert [row.path for row in account.rejected] == ["Positive/a.gif", "b"]
    assert [row.path for row in account.warnings] == ["Positive/b.gif", "Positive/c.gif"]
    assert account.splits == _images((3, 2), (0, 1), (0, 0))
    assert account.overlapping_groups == 3
    assert account.overlapping == [["c/1.jpg", "c/2.jpg"], ["a/1.jpg", "a/2.jpg"], ["b/1.jpg", "b/2.jpg"]]


@pytest.mark.parametrize("found", [7, 9])
def test_files_that_went_missing_or_came_twice_are_never_passed_over(tmp_path: Path, found: int) -> None:
    _write_rows(tmp_path)
    with pytest.raises(RuntimeError, match=f"{found} files were found, but 6 ingested and 2 rejected"):
        read_account(str(tmp_path), found, CLASSES)
