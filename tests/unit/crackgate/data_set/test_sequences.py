"""Numbered names: a hint for frames and a camera's shots, and none for the names of usual data sets."""

import re

import pytest

from crackgate.data_set.data_set import ListedImage, find_group
from crackgate.data_set.sequences import describe_sequences


def _images(pattern: str, numbers: range) -> list[ListedImage]:
    return [ListedImage(f"{name}/{pattern.format(n)}", name) for name in ("Crack", "Sound") for n in numbers]


SEQUENCES = {
    "frames": "frame_{:04}.jpg",
    "frames of a named video": "bridge 3_Frame{}.png",
    "a phone": "IMG_{:04}.JPG",
    "a drone": "DJI_{:04}.JPG",
    "ffmpeg": "video-{:05}.jpg",
}
OTHERS = {
    "numbers": ("{:05}.jpg", range(200)),
    "a word of the data set": ("crack_{:04}.jpg", range(200)),
    "numbers far apart": ("IMG_{}.jpg", range(0, 2000, 7)),
    "few": ("frame_{}.jpg", range(9)),
    "a word that ends alike": ("keyseq{}.jpg", range(200)),
}


@pytest.mark.parametrize("pattern", SEQUENCES.values(), ids=SEQUENCES)
def test_a_sequence_is_hinted_at_once_with_an_example(pattern: str) -> None:
    images = _images(pattern, range(100))
    (hint,) = describe_sequences([*images, ListedImage("notes.jpg", "")])
    assert f"198 of 200 images, such as {'Crack/' + pattern.format(0)!r}" in hint and "--group-by" in hint


@pytest.mark.parametrize(("pattern", "numbers"), OTHERS.values(), ids=OTHERS)
def test_usual_names_are_not_hinted_at(pattern: str, numbers: range) -> None:
    assert describe_sequences(_images(pattern, numbers)) == []


def test_a_sequence_among_more_other_images_is_not_hinted_at() -> None:
    assert describe_sequences([*_images("frame_{}.jpg", range(50)), *_images("{}.jpg", range(60))]) == []
    assert describe_sequences([]) == []


def test_the_example_groups_hundreds_and_every_name() -> None:
    (hint,) = describe_sequences(_images("frame_{:04}.jpg", range(300)))
    found = re.search(r"--group-by '(.*)' for", hint)
    assert found is not None
    groups = {
        path: find_group(re.compile(found[1]), path) for path in ("C/frame_0123.jpg", "C/frame_0199.jpg", "C/a.jpg")
    }
    assert groups == {"C/frame_0123.jpg": "C/frame_01", "C/frame_0199.jpg": "C/frame_01", "C/a.jpg": "C/a"}
