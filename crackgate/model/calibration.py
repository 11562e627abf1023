"""Calibrated scores: nine in ten images that score 0.9 are classified rightly."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

# A network that has learnt nothing would ask for an infinite temperature.
_TEMPERATURES = (0.01, 100.0)
# Standard deviations of the prior of log temperature and bias: the images have to pay for every change.
_PRIOR_OF_LOG_TEMPERATURE, _PRIOR_OF_BIAS = 0.5, 1.0


@dataclass(frozen=True)
class Calibration:
    """From logits to calibrated scores: softmax(logits / temperature + bias).

    Attributes:
        temperature: Above 1, the network was too sure of itself.
        bias: One number per class, 0 on average. It undoes class weights and balanced sampling; no temperature can.
    """

    temperature: float
    bias: tuple[float, ...]

    def scores(self, logits: np.ndarray) -> np.ndarray:
        """Turns logits (images, classes) into scores: float32 of the same shape, each row summing to 1."""
        return softmax(
            np.asarray(logits, np.float32) / np.float32(self.temperature) + np.asarray(self.bias, np.float32), axis=1
        )


def fit_calibration(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Fits a calibration to logits, float (images, classes), of images that the network was not trained on.

    Temperature scaling: Guo et al. (2017), "On Calibration of Modern Neural Networks". Bias per class: Alexandari et
    al. (2020), "Maximum Likelihood with Bias-Corrected Calibration is Hard-To-Beat at Label Shift Adaptation". Both by
    the highest posterior under normal priors around the network's own scores: few images change little, and images
    without a single mistake do not make every score 0 or 1. The log loss of these images never rises.

    Raises:
        ValueError: There is no image, or a logit is not finite.
    """
    if not len(logits) or not np.isfinite(logits).all():
        raise ValueError(
            f"calibration needs finite logits, received {np.size(logits)}, {np.isfinite(logits).sum()} of them finite: "
            "lower train.head_learning_rate and train.fine_tune_learning_rate"
        )
    classes = logits.shape[1]
    targets = np.eye(classes)[labels]
    logits = np.asarray(logits, np.float64)
    penalty = np.array([_PRIOR_OF_LOG_TEMPERATURE**-2, *[_PRIOR_OF_BIAS**-2] * classes])

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        sharpness, bias = np.exp(-parameters[0]), parameters[1:]
        log_scores = log_softmax(sharpness * logits + bias, axis=1)
        slope = np.exp(log_scores) - targets
        gradient = np.array([-sharpness * (slope * logits).sum(), *slope.sum(axis=0)]) + penalty * parameters
        total = penalty @ parameters**2 / 2 - (targets * log_scores).sum()
        return total / len(logits), gradient / len(logits)

    found = minimize(
        loss,
        np.zeros(1 + classes),
        jac=True,
        method="L-BFGS-B",
        bounds=[tuple(np.log(_TEMPERATURES)), *[(None, None)] * classes],
        options={"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-8},
    )
    bias = found.x[1:] - found.x[1:].mean()
    return Calibration(float(np.exp(found.x[0])), tuple(map(float, bias)))


def expected_calibration_error(scores: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Mean distance between highest score and accuracy, 0 (perfect) to 1, over bins of equal width (Guo et al. 2017).

    Scores are float (images, classes), labels int (images,). It flatters on the images that a calibration was fitted
    to.
    """
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    distance = np.bincount(number, confidence - right, minlength=bins)
    return float(np.abs(distance).sum() / len(labels))
