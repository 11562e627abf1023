"""The words for how much of the training images a model has learnt from."""

from crackgate.contracts.training_images import TrainingImages


def test_all_images_and_only_some_of_them_read_differently() -> None:
    every = TrainingImages(available=7000, learnt_from=7000, views=9000)
    assert every.in_words() == "learnt from all 7,000 images, in 9,000 views"
    some = TrainingImages(available=7000, learnt_from=4500, views=4500)
    assert some.in_words() == "learnt from only 4,500 of 7,000 images, in 4,500 views"
