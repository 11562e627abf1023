"""The classifier's card: what is written is read, and what says too little is refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest

from crackgate.contracts.card import CardError, ClassifierCard, NotAReleaseError, ReleaseCard, find_card, read_card
from crackgate.contracts.image_limits import ImageLimits
from crackgate.contracts.model_files import CARD_FILE
from crackgate.contracts.scale import TrainedScale

CARD = ReleaseCard(
    classes=["Negative", "Fissuré"],
    positive_classes=("Fissuré",),
    threshold=0.31640625,
    image_size=224,
    temperature=1.25,
    bias=(0.5, -0.5),
    stride=32,
    scale=TrainedScale.of(np.array([[227, 227], [454, 300]])),
    limits=ImageLimits(min_side=16, max_pixels=10**8),
    network_input="RGB, 0 to 255",
)


def write(folder: Path, content: str) -> None:
    (folder / CARD_FILE).parent.mkdir(exist_ok=True)
    (folder / CARD_FILE).write_text(content, encoding="utf-8")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    CARD.write(tmp_path)
    assert read_card(tmp_path) == CARD
    assert find_card(tmp_path) == ClassifierCard(
        classes=CARD.classes, positive_classes=CARD.positive_classes, threshold=CARD.threshold
    )


def test_fields_that_are_not_known_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path, json.dumps({"classes": ["a", "b"], "image_size": 64, "made_by": "a later version"}))
    assert read_card(tmp_path) == ReleaseCard(classes=["a", "b"], image_size=64)


IMPOSSIBLE = (("image_size", 0), ("image_size", 10**9), ("stride", 0), ("threshold", 5), ("threshold", "NaN"))


@pytest.mark.parametrize(("field", "value"), IMPOSSIBLE)
def test_a_number_that_no_model_has_is_refused(field: str, value: object, tmp_path: Path) -> None:
    content = {"classes": ["a", "b"], "image_size": 64, "positive_classes": ["b"], "threshold": 0.5, field: value}
    write(tmp_path, json.dumps(content).replace('"NaN"', "NaN"))
    with pytest.raises(NotAReleaseError, match=f"{field}: received"):
        read_card(tmp_path)


def test_a_model_from_elsewhere_may_have_no_card_and_says_which_fields_it_has(tmp_path: Path) -> None:
    assert find_card(tmp_path) is None
    for content, says_positive in (({"classes": ["a"]}, False), ({"classes": ["a"], "positive_classes": []}, True)):
        write(tmp_path, json.dumps(content))
        card = find_card(tmp_path)
        assert card is not None and ("positive_classes" in card.model_fields_set) is says_positive


def test_a_card_of_an_earlier_version_names_its_one_positive_class(tmp_path: Path) -> None:
    earlier = {"classes": ["a", "b"], "image_size": 64, "positive_class": "b", "threshold": 0.5}
    for said, read in (("b", ("b",)), (None, ())):
        write(tmp_path, json.dumps(earlier | {"positive_class": said, "threshold": 0.5 if said else None}))
        assert read_card(tmp_path).positive_classes == read
        card = find_card(tmp_path)
        assert card is not None and "positive_classes" in card.model_fields_set


def test_a_card_of_an_earlier_version_takes_images_of_any_size_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, '{"classes": ["a"], "image_size": 64}')
    earlier = read_card(tmp_path)
    assert earlier.scale is None and earlier.limits == ImageLimits()
    assert "images of any size are scored" in (earlier.scale_note or "")
    assert CARD.scale_note is None


def test_it_knows_the_labels_of_its_positive_classes() -> None:
    card = ClassifierCard(classes=["Hairline", "Sound", "Wide"], positive_classes=("Hairline", "Wide"))
    assert card.positive_labels == (0, 2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "it holds no 'classes' and no 'image_size'"),
        ('{"classes": ["a", "b"]}', "it holds no 'image_size'"),
        ('{"classes": "ab", "image_size": 64}', "classes: received 'ab'"),
        ('{"classes": ["a"], "image_size": "64"}', "image_size: received '64'"),
        ('{"classes": ["a"], "image_size": 64, "positive_classes": ["b"]}', "'b', are not some of its classes"),
        ('{"classes": ["a", "b"], "image_size": 64, "positive_classes": ["b", "a"]}', "in their order"),
        (
            '{"classes": ["a", "b"], "image_size": 64, "positive_classes": ["a", "b"]}',
            "all of its classes are",
        ),
        ('{"classes": ["a", "b"], "image_size": 64, "positive_classes": 3}', "positive_classes: received 3"),
        ('{"classes": ["a"], "image_size": 64, "threshold": 0.5}', "one of positive_classes and threshold"),
        ("{", "Invalid JSON"),
    ],
)
def test_a_card_that_says_too_little_is_refused(content: str, reason: str, tmp_path: Path) -> None:
    write(tmp_path, content)
    with pytest.raises(NotAReleaseError) as caught:
        read_card(tmp_path)
    assert str(CARD_FILE) in str(caught.value) and reason in str(caught.value)


def test_a_folder_without_a_card_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(NotAReleaseError, match="No such file"):
        read_card(tmp_path)


def test_a_card_from_elsewhere_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, '{"threshold": 0.5}')
    with pytest.raises(CardError, match="it holds no 'classes'"):
        find_card(tmp_path)
