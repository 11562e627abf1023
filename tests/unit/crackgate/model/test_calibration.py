"""Calibration: what was done to honest logits is undone, and no data makes the scores useless."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax, softmax

from crackgate.model.calibration import Calibration, expected_calibration_error, fit_calibration


def _honest(images: int, classes: int, seed: int, prior: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the true probability, and labels drawn from it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (images, classes)) + (0 if prior is None else np.log(prior))
    chance = softmax(logits, axis=1).cumsum(axis=1)
    return logits, (rng.uniform(size=(images, 1)) > chance[:, :-1]).sum(axis=1)


def _loss(scores: np.ndarray, labels: np.ndarray) -> float:
    return -float(np.log(scores[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize("classes", [2, 3])
def test_it_finds_the_temperature_and_the_bias_that_were_put_in(classes: int) -> None:
    honest, labels = _honest(20_000, classes, seed=classes)
    bias = np.linspace(-1.5, 1.5, classes)
    fitted = fit_calibration(3 * (honest - bias), labels)
    assert fitted.temperature == pytest.approx(3, rel=0.05)
    np.testing.assert_allclose(fitted.bias, bias, atol=0.07)


def test_a_shifted_prior_is_undone_which_no_temperature_could() -> None:
    # What class weights of 1:50 make of honest logits.
    honest, labels = _honest(10_000, 2, seed=1, prior=np.array([50 / 51, 1 / 51]))
    shifted = 2.0 * (honest - np.log([50 / 51, 1 / 51]))
    share = (labels == 1).mean()
    best_without_bias = min((_loss(softmax(shifted / t, axis=1), labels), t) for t in np.geomspace(0.1, 20, 200))[1]
    calibrated = fit_calibration(shifted, labels).scores(shifted)
    assert softmax(shifted / best_without_bias, axis=1)[:, 1].mean() > 3 * share
    assert calibrated[:, 1].mean() == pytest.approx(share, rel=0.02)
    assert expected_calibration_error(calibrated, labels) < 0.01
    assert expected_calibration_error(softmax(shifted / best_without_bias, axis=1), labels) > 0.05


def test_one_row_of_other_images_is_calibrated_as_well() -> None:
    honest, labels = _honest(4000, 2, seed=3)
    fitted = fit_calibration(4 * honest[:2000] + [1, -1], labels[:2000])
    unseen, truth = fitted.scores(4 * honest[2000:] + [1, -1]), labels[2000:]
    before = expected_calibration_error(softmax(4 * honest[2000:] + [1, -1], axis=1), truth)
    assert expected_calibration_error(unseen, truth) < 0.05 < 0.1 < before


@pytest.mark.parametrize("images", [40, 200, 2000])
@pytest.mark.parametrize("sureness", [0.3, 1, 3])
def test_without_a_mistake_the_calibration_error_does_not_rise(images: int, sureness: float) -> None:
    rng = np.random.default_rng(images)
    labels = np.arange(4000) % 2
    logits = sureness * (np.eye(2)[labels] * 7 + rng.normal(0, 1, (4000, 2)))
    fitted = fit_calibration(logits[:images], labels[:images])
    before, after = softmax(logits, axis=1), fitted.scores(logits)
    assert expected_calibration_error(after, labels) <= expected_calibration_error(before, labels)
    # Nor do the scores become all 0 and 1.
    assert len(np.unique(after[:, 0])) > 2000


@pytest.mark.parametrize("swapped", [0, 0.01, 0.05])
def test_the_log_loss_never_rises_whatever_the_labels(swapped: float) -> None:
    rng = np.random.default_rng(1)
    for images in (40, 200):
        truth = rng.integers(2, size=images)
        logits = np.eye(2)[truth] * 8 + rng.normal(0, 1.5, (images, 2))
        labels = np.where(rng.uniform(size=images) < swapped, 1 - truth, truth)
        fitted = fit_calibration(logits, labels)
        assert _loss(fitted.scores(logits), labels) <= _loss(softmax(logits, axis=1), labels) + 1e-9


@settings(deadline=None, max_examples=50)
@given(
    logits=arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(2, 4)), elements=st.floats(-50, 50, width=32)),
    seed=st.integers(0, 1000),
)
def test_whatever_the_images_scores_are_probabilities_and_keep_their_order(logits: np.ndarray, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(logits.shape[1], size=len(logits))
    fitted = fit_calibration(logits, labels)
    scores = fitted.scores(logits)
    assert np.isfinite([fitted.temperature, *fitted.bias]).all() and fitted.temperature > 0
    assert abs(sum(fitted.bias)) < 1e-6
    assert scores.dtype == np.float32 and scores.min() >= 0
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    # A class's log odds against another rise with the difference of their logits.
    order = np.argsort(logits[:, 0].astype(np.float64) - logits[:, 1], kind="stable")
    odds = log_softmax(logits.astype(np.float64) / fitted.temperature + fitted.bias, axis=1)
    assert (np.diff((odds[:, 0] - odds[:, 1])[order]) >= -1e-9).all()


@pytest.mark.parametrize("logits", [np.array([[0.0, np.nan]]), np.array([[np.inf, 0.0]]), np.empty((0, 2))])
def test_logits_that_are_no_numbers_are_refused(logits: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite logits"):
        fit_calibration(logits, np.zeros(len(logits), int))


def test_scores_that_are_no_numbers_stay_that() -> None:
    assert np.isnan(Calibration(2.0, (0.1, -0.1)).scores(np.array([[np.nan, 1.0]]))).all()


def test_the_calibration_error_is_the_mean_distance_in_the_bins() -> None:
    # Bin of 0.6: two of four right; bin of 0.95: all six right.
    scores = np.array([[0.6, 0.4]] * 4 + [[0.05, 0.95]] * 6)
    labels = np.array([0, 0, 1, 1] + [1] * 6)
    assert expected_calibration_error(scores, labels) == pytest.approx(0.4 * 0.1 + 0.6 * 0.05)
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0
