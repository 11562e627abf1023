"""Named groups are dealt out where they are few: every split gets images of every class, if it can."""

from collections import Counter

import numpy as np
import pytest

from components.image_example_gen.dealt_groups import deal_groups, groups_needed
from crackgate.data_set.data_set import ListedImage

BUCKETS = {"train": 70, "eval": 15, "test": 15}
CLASSES = ("crack", "sound")
BY_SITE = r"site \d+"


def _images(sites: int, seed: int = 0) -> list[ListedImage]:
    """5 to 100 images of each class at each site."""
    rng = np.random.default_rng(seed)
    return [
        ListedImage(f"{label}/site {site}/{number}.jpg", label)
        for site in range(sites)
        for label in CLASSES
        for number in range(rng.integers(5, 101))
    ]


def _shares(images: list[ListedImage], dealt: dict[bytes, str]) -> dict[tuple[str, str], float]:
    """The share of each class in each split."""
    of_class = Counter(image.class_name for image in images)
    found = Counter((dealt[image.path.split("/")[1].encode()], image.class_name) for image in images)
    return {(split, label): found[split, label] / of_class[label] for split in BUCKETS for label in CLASSES}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sites", [3, 6, 12, 22])
def test_every_split_gets_images_of_every_class(sites: int, seed: int) -> None:
    images = _images(sites, seed)
    shares = _shares(images, deal_groups(images, BY_SITE, BUCKETS))
    assert all(shares.values())
    if sites >= 12:
        assert all(abs(share - BUCKETS[split] / 100) < 0.08 for (split, _), share in shares.items())


def test_a_class_at_three_sites_alone_is_in_all_splits() -> None:
    rare = {"site 1", "site 2", "site 3"}
    images = [image for image in _images(40) if image.class_name == "sound" or image.path.split("/")[1] in rare]
    assert all(_shares(images, deal_groups(images, BY_SITE, BUCKETS)).values())


def test_names_and_numbers_alone_decide() -> None:
    images = _images(9)
    dealt = deal_groups(images, BY_SITE, BUCKETS)
    assert deal_groups(images[::-1], BY_SITE, BUCKETS) == dealt
    grouped = [
        ListedImage(f"{n}.jpg", image.class_name, group=image.path.split("/")[1]) for n, image in enumerate(images)
    ]
    assert deal_groups(grouped, "", BUCKETS) == dealt


def test_many_groups_and_those_of_given_splits_are_left_to_chance() -> None:
    assert groups_needed(BUCKETS) == 23
    assert deal_groups(_images(23), BY_SITE, BUCKETS) == {}
    assert deal_groups(_images(6), "", BUCKETS) == {}
    assert deal_groups([], BY_SITE, BUCKETS) == {}
    given = [ListedImage(image.path, image.class_name, ("train",)) for image in _images(6)]
    assert deal_groups(given, BY_SITE, BUCKETS) == {}
    nameless = [ListedImage("crack/1.jpg", "crack"), ListedImage("site 1/1.jpg", "")]
    assert deal_groups(nameless, BY_SITE, BUCKETS) == {}
    many = [ListedImage(f"{label}/site {n}/1.jpg", label) for n in range(61) for label in CLASSES[: 1 + (n < 3)]]
    assert deal_groups(many, BY_SITE, BUCKETS) == {}


def test_fewer_groups_than_splits_fill_what_they_can() -> None:
    images = _images(2)
    assert len(set(deal_groups(images, BY_SITE, BUCKETS).values())) == 2
