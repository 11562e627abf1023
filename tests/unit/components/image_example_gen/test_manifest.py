"""The list of images in files: every batch comes back as it was, and none is lost."""

import os
from pathlib import Path

import pytest

from components.image_example_gen import manifest
from components.image_example_gen.manifest import read_batch, write_manifest
from crackgate.data_set.data_set import ListedImage

HOSTILE = os.fsdecode(b"Positive/\xff \n\"'\\\xe2\x82\xac.jpg")


def _images(count: int) -> list[ListedImage]:
    images = [
        ListedImage(f"Negative/{number}.jpg", "Negative", ("train", "eval"), "g", "deck") for number in range(count)
    ]
    return [*images, ListedImage(HOSTILE, "Positive"), ListedImage("unlistable/", "")]


def test_thousands_of_images_come_back_whole_and_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_BATCHES_IN_FILE", 5)
    images = _images(2_998)
    places = write_manifest(images, str(tmp_path))
    batches = [read_batch(place) for place in places]
    assert [place.number for place in places] == list(range(24))
    assert {len(batch) for batch in batches[:-1]} == {128}
    assert len(list(tmp_path.glob("*.manifest"))) == 5
    found = [image for batch in batches for image in batch]
    assert sorted(found, key=lambda image: image.path) == sorted(images, key=lambda image: image.path)


def test_the_order_depends_on_the_paths_alone_and_mixes_them(tmp_path: Path) -> None:
    images = _images(500)
    orders = []
    for name, listed in (("one", images), ("other", images[::-1])):
        (tmp_path / name).mkdir()
        places = write_manifest(listed, str(tmp_path / name))
        orders.append([image.path for place in places for image in read_batch(place)])
    assert orders[0] == orders[1] != sorted(orders[0])


def test_no_images_are_no_batches(tmp_path: Path) -> None:
    assert write_manifest([], str(tmp_path)) == []
