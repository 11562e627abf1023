"""How unfamiliar an image is, from its texture and those of the training images."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import ledoit_wolf

from crackgate.model.familiarity import HIGHEST, Familiarity, fit_familiarity

FEATURES = 12
_MIX = np.random.default_rng(7).normal(0, 1, (FEATURES, FEATURES)) + np.eye(FEATURES)


def _textures(count: int, seed: int, shift: float = 0) -> np.ndarray:
    """Correlated features of very different sizes, moved along one direction."""
    drawn = np.random.default_rng(seed).normal(0, 1, (count, FEATURES))
    drawn[:, 3] += shift
    return (drawn @ _MIX * np.geomspace(0.1, 10, FEATURES) + 5).astype(np.float32)


def _fitted(train: int = 800, evaluated: int = 300, seed: int = 0) -> Familiarity:
    familiarity = fit_familiarity(_textures(train, 3 * seed), _textures(evaluated, 3 * seed + 1))
    assert familiarity is not None
    return familiarity


def test_it_is_the_distance_of_mahalanobis_up_to_the_limit() -> None:
    train, others = (_textures(*drawn).astype(np.float64) for drawn in ((800, 0), (50, 2)))
    found = _fitted().unfamiliarity(others)
    assert found.dtype == np.float32 and found.shape == (50,)
    scale = train.std(axis=0)
    covariance, _ = ledoit_wolf((train - train.mean(axis=0)) / scale)
    inverse = np.linalg.inv(covariance)
    expected = [mahalanobis(row / scale, train.mean(axis=0) / scale, inverse) for row in others]
    ratio = found / expected
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-2)


@pytest.mark.parametrize(("evaluated", "shift"), [(4, 10_000), (30, 60), (1500, 20)])
def test_images_like_the_training_images_are_familiar_and_others_are_not(evaluated: int, shift: float) -> None:
    flagged, found = [], []
    for seed in range(8):
        familiarity = _fitted(evaluated=evaluated, seed=seed)
        flagged.append((familiarity.unfamiliarity(_textures(2000, 100 + seed)) > 1).mean())
        found.append((familiarity.unfamiliarity(_textures(500, 200 + seed, shift)) > 1).mean())
    # Few images make a wide limit, which still is too low in one set in twenty.
    assert np.mean(flagged) <= 0.01 and np.quantile(flagged, 0.8) <= 0.02
    assert min(found) == 1
    # With many images the limit is no higher than it has to be.
    assert evaluated < 1000 or np.mean(flagged) >= 0.0005


def test_a_heavy_tail_of_eval_is_within_the_limit() -> None:
    rng = np.random.default_rng(0)
    odd = _textures(400, 1)
    odd[rng.permutation(400)[:12]] = _textures(12, 2, shift=25)
    familiarity = fit_familiarity(_textures(800, 0), odd)
    assert familiarity is not None
    summary = familiarity.summary
    assert (summary.train_images, summary.eval_images) == (800, 400)
    assert summary.eval_beyond <= 4 and summary.eval_beyond == (familiarity.unfamiliarity(odd) > 1).sum()


def test_fewer_images_than_features_are_enough() -> None:
    familiarity = _fitted(train=5, evaluated=5)
    assert (familiarity.unfamiliarity(_textures(100, 9)) <= 1).mean() > 0.9
    assert (familiarity.unfamiliarity(_textures(100, 10, shift=5000)) > 1).all()


@pytest.mark.parametrize(("train", "evaluated"), [(1, 10), (10, 1), (0, 0)])
def test_a_single_image_describes_nothing(train: int, evaluated: int) -> None:
    assert fit_familiarity(_textures(train, 0), _textures(evaluated, 1)) is None


def test_a_channel_that_was_always_off_does_not_decide_alone() -> None:
    train, evaluated, others = _textures(800, 0), _textures(300, 1), _textures(500, 2)
    for textures in (train, evaluated):
        textures[:, 5] = 0
    others[:, 5] = 1e-3
    familiarity = fit_familiarity(train, evaluated)
    assert familiarity is not None and (familiarity.unfamiliarity(others) <= 1).mean() > 0.98


def test_images_that_are_all_alike_are_familiar_and_any_other_is_not() -> None:
    alike = np.ones((20, FEATURES), np.float32)
    familiarity = fit_familiarity(alike, alike)
    assert familiarity is not None
    assert (familiarity.unfamiliarity(alike) <= 1).all()
    other = familiarity.unfamiliarity(alike + 1)
    assert np.isfinite(other).all() and (other > 1).all()
    assert (familiarity.unfamiliarity(alike * 1e30) == HIGHEST).all(), "JSON has no infinity"
