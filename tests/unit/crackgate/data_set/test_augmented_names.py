"""Names of augmented copies are told, with a --group-by that keeps them together."""

import re
import shlex

import pytest

from crackgate.data_set.augmented_names import describe_augmented
from crackgate.data_set.data_set import ListedImage, find_group

HASH, UUID = "{0:032x}", "{0:08x}-1234-4abc-8def-0123456789ab"
COPIES = {
    "Roboflow": [f"wall-{{1}}_jpg.rf.{HASH}.jpg"],
    "Augmentor": [f"Positive_original_{{1:05}}.jpg_{UUID}.jpg"],
    "endings": ["{1}.jpg", "{1}_aug_1.jpg", "{1}_flip_rot90.png"],
}
OTHERS = {
    "numbers": ["{0:05}.jpg"],
    "words": ["crack_{0}.jpg", "augusta_{0}.jpg", "pier-rotunda-{0}.jpg"],
    "shear cracks": ["beam_shear_{0:03}.jpg"],
    "two formats": ["IMG_{1:04}.JPG", "IMG_{1:04}.HEIC"],
    "dots": ["v1.0/{0:05}", "v1.0/{0}.jpg"],
    "digests": ["{0:032x}.jpg", UUID + ".jpg"],
}


def _images(forms: list[str], splits: tuple[str, ...] = (), folder: str = "Positive") -> list[ListedImage]:
    names = [form.format(3 * number + at, number // 3) for number in range(120) for at, form in enumerate(forms)]
    return [ListedImage(f"{folder}/{name}", "Positive", splits) for name in dict.fromkeys(names)]


@pytest.mark.parametrize("forms", COPIES.values(), ids=COPIES)
def test_augmented_copies_are_told_with_the_pattern_that_groups_them(forms: list[str]) -> None:
    images = _images(forms)
    (told,) = describe_augmented([*images, ListedImage("notes.jpg", "")])
    assert f"{len(images)} of {len(images)} images" in told and "of 40 sources" in told
    *_, pattern = shlex.split(told)
    groups = {find_group(re.compile(pattern), image.path) for image in images}
    assert len(groups) == 40 and "" not in groups


@pytest.mark.parametrize("forms", OTHERS.values(), ids=OTHERS)
def test_other_names_tell_nothing(forms: list[str]) -> None:
    assert describe_augmented(_images(forms)) == []


def test_copies_in_one_given_split_are_as_they_should_be() -> None:
    forms = COPIES["Roboflow"]
    train, test = _images(forms, ("train",), "train/Positive"), _images(forms, ("test",), "test/Positive")
    assert describe_augmented(train) == []
    (told,) = describe_augmented([*train, *test])
    assert "in two splits and more" in told and "--group-by" not in told
    # Numbers begin anew in each split.
    plain = [*_images(OTHERS["numbers"], ("train",), "train/a"), *_images(OTHERS["numbers"], ("test",), "test/a")]
    assert describe_augmented(plain) == []


def test_one_name_in_two_folders_and_a_few_copies_are_chance() -> None:
    assert describe_augmented([*_images(["{0}.jpg"], folder="a"), *_images(["{0}.jpg"], folder="b")]) == []
    assert describe_augmented([*_images(["{0:05}.jpg"]), *_images(COPIES["endings"])[:9]]) == []
    assert describe_augmented([]) == []
