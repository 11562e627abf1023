"""Named groups that are too few for chance: they are dealt out so that every split gets images of every class."""

import hashlib
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from crackgate.data_set.data_set import ListedImage, find_group

# Bounds the time of the search, to some seconds. Chance serves more groups well.
MOST_DEALT = 60

# The split of each group, by its number: (groups,).
_Deal = NDArray[np.intp]
# Images of each group, or what a split should have, by class: (groups or splits, classes).
_Images = NDArray[np.float64]


def groups_needed(buckets: Mapping[str, int]) -> int:
    """Groups of a class that leave no split without one in 19 of 20 draws by chance (Bonferroni's bound)."""
    shares = [count / sum(buckets.values()) for count in buckets.values()]
    return next(count for count in itertools.count(1) if sum((1 - share) ** count for share in shares) <= 0.05)


def deal_groups(images: Iterable[ListedImage], group_by: str, buckets: Mapping[str, int]) -> dict[bytes, str]:
    """The split of each named group; nothing where chance decides: `groups_needed` of every class, or more than 60.

    Names and numbers of images alone decide. Images with given splits do not count. `group_by` is the pattern of
    `DataOptions`, "" without one.
    """
    counts: dict[bytes, Counter[str]] = {}
    pattern = re.compile(group_by) if group_by else None
    for image in images:
        name = _group_of(image, pattern)
        if name and image.class_name and not image.splits:
            counts.setdefault(name, Counter())[image.class_name] += 1
    of_class = Counter(label for classes in counts.values() for label in classes)
    if not 0 < len(counts) <= MOST_DEALT or min(of_class.values()) >= groups_needed(buckets):
        return {}
    names = sorted(counts, key=lambda name: (-counts[name].total(), hashlib.sha256(name).digest()))
    table = np.array([[counts[name][label] for label in sorted(of_class)] for name in names], float)
    shares = np.array(list(buckets.values())) / sum(buckets.values())
    splits = list(buckets)
    return {name: splits[number] for name, number in zip(names, _deal(table, shares).tolist(), strict=True)}


def _group_of(image: ListedImage, pattern: re.Pattern[str] | None) -> bytes:
    if image.group or pattern is None:
        return os.fsencode(image.group)
    return find_group(pattern, image.path).encode()


def _deal(table: _Images, shares: NDArray[np.float64]) -> _Deal:
    """The largest groups first, each where it helps most; then moves and exchanges, as long as one helps."""
    deal: _Deal = np.empty(0, np.intp)
    for number in range(len(table)):
        choices = (np.append(deal, split) for split in range(len(shares)))
        deal = min(choices, key=lambda choice: _badness(choice, table[: number + 1], shares, table.sum(axis=0)))
    while True:
        best = min(
            _neighbours(deal, len(shares)), key=lambda choice: _badness(choice, table, shares, table.sum(axis=0))
        )
        if _badness(best, table, shares, table.sum(axis=0)) >= _badness(deal, table, shares, table.sum(axis=0)):
            return deal
        deal = best


def _neighbours(deal: _Deal, splits: int) -> Iterator[_Deal]:
    yield deal
    for group, split in itertools.product(range(len(deal)), range(splits)):
        moved = deal.copy()
        moved[group] = split
        yield moved
    for one, other in itertools.combinations(range(len(deal)), 2):
        if deal[one] != deal[other]:
            exchanged = deal.copy()
            exchanged[[one, other]] = deal[[other, one]]
            yield exchanged


def _badness(
    deal: _Deal, table: _Images, shares: NDArray[np.float64], totals: NDArray[np.float64]
) -> tuple[int, float]:
    """How many classes the splits lack, and how far the others are from their shares; rounded, so that all agree."""
    found = np.zeros((len(shares), table.shape[1]))
    np.add.at(found, deal, table)
    distances = (found / totals - shares[:, None]) ** 2 / shares[:, None]
    return int((found == 0).sum()), round(float(distances.sum()), 9)
