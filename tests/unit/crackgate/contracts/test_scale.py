"""The scale of training images: what it takes, what it refuses, and when it is worth a warning."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crackgate.contracts.scale import Spread, TrainedScale

ONE_SIZE = TrainedScale.of(np.array([[227, 227]] * 3))
MIXED = TrainedScale.of(np.array([[640, 480], [480, 640], [1200, 400]]))

_SIDES = st.integers(1, 5000)


def test_it_sums_up_sides_and_shapes() -> None:
    assert MIXED.images == 3
    assert MIXED.sides == Spread(smallest=400, median=560, largest=1200)
    assert MIXED.elongations == Spread(smallest=640 / 480, median=640 / 480, largest=3)
    assert (ONE_SIZE.tile, MIXED.tile) == (227, 560)


@pytest.mark.parametrize(
    ("scale", "size", "takes"),
    [
        (ONE_SIZE, (227, 227), True),
        (ONE_SIZE, (300, 300), True),
        (ONE_SIZE, (340, 340), True),
        (ONE_SIZE, (341, 341), False),
        (ONE_SIZE, (152, 152), True),
        (ONE_SIZE, (151, 151), False),
        (ONE_SIZE, (300, 200), True),
        (ONE_SIZE, (330, 200), False),
        (ONE_SIZE, (200, 330), False),
        (ONE_SIZE, (4086, 2951), False),
        (ONE_SIZE, (0, 0), False),
        (MIXED, (1800, 400), True),
        (MIXED, (1801, 400), False),
        (MIXED, (400, 1800), True),
        (MIXED, (1800, 399), False),
        (MIXED, (267, 267), True),
        (MIXED, (266, 300), False),
        (TrainedScale.of(np.array([[200, 50]])), (120, 60), False),
        (TrainedScale.of(np.array([[200, 50]])), (160, 60), True),
    ],
    ids=str,
)
def test_it_takes_half_as_much_again_and_no_more(scale: TrainedScale, size: tuple[int, int], takes: bool) -> None:
    assert scale.takes(*size) is takes


@given(st.lists(st.tuples(_SIDES, _SIDES), min_size=1, max_size=20))
def test_every_training_image_is_taken_however_it_is_turned_and_so_is_its_smallest_size(
    sizes: list[tuple[int, int]],
) -> None:
    scale = TrainedScale.of(np.array(sizes))
    assert all(scale.takes(width, height) and scale.takes(height, width) for width, height in sizes)
    if scale.sides.smallest > 8:
        assert scale.takes(*scale.smallest_size)


def test_a_refusal_says_what_is_allowed_and_what_to_do() -> None:
    said = ONE_SIZE.refusal.format(4086, 2951)
    assert said == (
        "out of scale: 4086x2951 pixels, allowed are sides of 152 to 340 and shapes up to 1.5 to 1, since the model "
        "was trained on sides of 227 pixels: 'crackgate inspect' looks at a larger photograph tile by tile"
    )
    assert "shapes from 2.67 to 1 up to 6 to 1" in TrainedScale.of(np.array([[200, 50]])).refusal


def test_very_different_sides_are_worth_a_warning() -> None:
    assert ONE_SIZE.warning() is None
    assert TrainedScale.of(np.array([[300, 100]])).warning() is None
    warning = TrainedScale.of(np.array([[227, 227]] * 9 + [[4000, 3000]])).warning()
    assert warning is not None
    assert "sides of 227 to 4,000 pixels (median 227)" in warning and "17.6 times as wide" in warning
