"""The images' sizes: which other images a model would refuse, and who is named."""

from components.data_page.sizes import Row, find_scale
from crackgate.contracts.scale_findings import OutOfScale, ScaleFindings

TRAIN: list[Row] = [("train", 100, 100, 5, "Positive/1.jpg"), ("train", 200, 100, 2, "Positive/2.jpg")]


def test_images_of_other_splits_that_are_out_of_scale_are_counted_and_named() -> None:
    rows: list[Row] = [
        ("test", 4000, 3000, 3, "Positive/big.jpg"),
        ("test", 120, 120, 6, "Positive/fine.jpg"),
        ("eval", 30, 30, 1, "Positive/small.jpg"),
    ]
    found = find_scale([*rows, *TRAIN])
    assert found == find_scale([*TRAIN, *reversed(rows)])
    assert found.trained is not None and found.trained.images == 7
    assert found.trained.sides.median == 100 and found.trained.elongations.largest == 2
    assert found.outside == [
        OutOfScale(split="eval", images=1, of=1, named=["'Positive/small.jpg' (30x30)"]),
        OutOfScale(split="test", images=3, of=9, named=["'Positive/big.jpg' (4000x3000) and 2 more"]),
    ]
    small, big = found.faults()
    assert "split 'test': 3 of 9 images are out of the scale" in big and "take sides of 67 to 300" in big
    assert "(data.min_side = 67, data.max_pixels = 90000)" in big
    assert "'Positive/small.jpg' (30x30); cut them into tiles of about 100 pixels, remove them" in small


def test_the_shapes_of_a_fault_are_those_that_the_model_takes() -> None:
    (fault,) = find_scale([("train", 200, 50, 9, "a.jpg"), ("test", 120, 60, 1, "b.jpg")]).faults()
    assert "take sides of 34 to 300 and shapes from 2.67 to 1 up to 6 to 1: 'b.jpg' (120x60);" in fault


def test_images_of_one_scale_have_no_fault_and_no_warning() -> None:
    found = find_scale([*TRAIN, ("test", 150, 150, 1, "a.jpg")])
    assert found.outside == [] and found.faults() == [] and found.warning is None


def test_training_on_very_different_scales_is_a_warning_and_no_fault() -> None:
    found = find_scale([*TRAIN, ("train", 900, 900, 1, "Positive/9.jpg"), ("test", 800, 800, 1, "a.jpg")])
    assert found.faults() == [] and found.warning is not None and "sides of 100 to 900 pixels" in found.warning


def test_without_a_training_image_nothing_is_found() -> None:
    assert find_scale([("test", 10, 10, 1, "a.jpg")]) == ScaleFindings()
