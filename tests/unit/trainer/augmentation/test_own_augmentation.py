"""An augmentation of the user's own, and the stored form of any."""

from pathlib import Path

import keras
import numpy as np
import pytest

from crackgate.config.train import TrainOptions
from tests.helpers.own_models import write_own_models
from trainer.augmentation.model import configured_augmentation

SIZE = 16


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_own_models(tmp_path, "own_augmentations")
    monkeypatch.chdir(tmp_path)


def _make(function: str, seed: int = 0) -> keras.Model:
    name = f"own_augmentations:{function}" if function else ""
    return configured_augmentation(TrainOptions(image_size=32, augmentation=name), seed)


def _augment(model: keras.Model) -> np.ndarray:
    images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)).astype(np.float32)
    return keras.ops.convert_to_numpy(model(images, training=True))


def test_the_seed_decides_the_draws_of_its_layers() -> None:
    first, again, other = (_augment(_make("flips", seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1


@pytest.mark.parametrize("function", ["", "flips"])
def test_is_stored_and_loaded(function: str, tmp_path: Path) -> None:
    model = _make(function)
    before = _augment(model)
    model.save(tmp_path / "augmentation.keras")
    loaded = keras.models.load_model(tmp_path / "augmentation.keras")
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in model.layers]
    drawn = _augment(loaded)
    assert np.abs(drawn - _augment(loaded)).mean() > 1
    if not function:
        # Its layers keep their seeds, and its first draws with them. JPEG rounds up to a few grey levels.
        np.testing.assert_allclose(drawn, before, atol=8)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("nothing", r"returned a NoneType; allowed is a keras\.Model"),
        ("shrinks", r"makes float32 \(2, 8, 8, 3\) of images \(2, 32, 32, 3\); allowed is one that keeps their shape"),
        ("normalises", r"makes values from [\de.-]+ to 1 of images in 0 to 255; allowed is one that keeps that range"),
        ("brightens", "makes values from .* to 765 of images in 0 to 255"),
        ("takes_no_images", r"does not take images \(2, 32, 32, 3\)"),
        ("forgets", "cannot be stored and loaded: Could not locate class 'Unknown'"),
    ],
)
def test_says_what_is_wrong(function: str, said: str) -> None:
    with pytest.raises(ValueError, match=rf"(?s)^train\.augmentation: .*{said}"):
        _make(function)
