"""How unfamiliar an image is: how far its texture lies from those of the training images."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import nct, norm
from sklearn.covariance import ledoit_wolf

from crackgate.contracts.card import FamiliarityCard

# At most so many images like those of eval are to lie beyond the limit ...
_BEYOND = 0.005
# ... with this confidence, if the logarithms of their distances are normal; where they are not, this quantile counts.
_CONFIDENCE, _QUANTILE = 0.95, 0.99
# Training images have a distance of about 1. Images that are all alike have none, and two images may set any limit.
_DISTANCES = (1e-3, 1e6)
# Anything beyond is as unfamiliar, and JSON has no infinity.
HIGHEST = 1e6
# Feature deviations are at least this share of the median one: a channel that was always off may not decide alone.
_LEAST_DEVIATION = 0.01


@dataclass(frozen=True)
class Familiarity:
    """A Gaussian of the training images' textures: unfamiliarity = rms((texture - mean) @ weights).

    1.0 is the limit: at most 1 in 200 images like those of eval are expected beyond it. The distance is that of
    Mahalanobis (Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples"), with
    the covariance shrunk as Ledoit & Wolf (2004) say.

    Attributes:
        mean: float32 (features,).
        weights: float32 (features, features).
        summary: The images behind it.
    """

    mean: np.ndarray
    weights: np.ndarray
    summary: FamiliarityCard

    def unfamiliarity(self, textures: np.ndarray) -> np.ndarray:
        """From textures (images, features) to float32 (images,), 0 to `HIGHEST`; above 1 an image is unfamiliar."""
        return np.minimum(_distances(textures, self.mean, self.weights), HIGHEST).astype(np.float32)


def fit_familiarity(train: np.ndarray, evaluated: np.ndarray) -> Familiarity | None:
    """Describes the textures of training images, float32 (images, features); those of eval set the limit.

    None where either has fewer than two images, which say nothing of how images differ.
    """
    if min(len(train), len(evaluated)) < 2:
        return None
    mean = train.mean(axis=0, dtype=np.float64)
    deviations = train.std(axis=0, dtype=np.float64)
    least = _LEAST_DEVIATION * np.median(deviations)
    scale = np.maximum(deviations, max(least, np.finfo(np.float32).eps))
    covariance, _ = ledoit_wolf((train - mean) / scale, assume_centered=True)
    variances, directions = np.linalg.eigh(covariance)
    # Images that are all alike have no variance at all.
    whitening = directions / np.sqrt(np.maximum(variances, np.finfo(np.float32).eps)) / scale[:, None]
    limit = _limit(_distances(evaluated, mean, whitening))
    weights = (whitening / limit).astype(np.float32)
    centre = mean.astype(np.float32)
    beyond = int((_distances(evaluated, centre, weights) > 1).sum())
    return Familiarity(
        centre, weights, FamiliarityCard(train_images=len(train), eval_images=len(evaluated), eval_beyond=beyond)
    )


def _distances(textures: np.ndarray, mean: np.ndarray, weights: np.ndarray) -> np.ndarray:
    distances: np.ndarray = np.sqrt(np.square((textures.astype(np.float64) - mean) @ weights).mean(axis=1))
    return distances


def _limit(distances: np.ndarray) -> float:
    """The distance beyond which an image counts as unfamiliar, from those of images that were not described.

    A one-sided tolerance limit of the normal distribution (Hahn & Meeker 1991, "Statistical Intervals"), for few
    images as for many, and never below the empirical quantile.
    """
    logs = np.log(np.clip(distances, *_DISTANCES))
    count = len(logs)
    factor = nct.ppf(_CONFIDENCE, count - 1, norm.ppf(1 - _BEYOND) * np.sqrt(count)) / np.sqrt(count)
    tolerance = logs.mean() + factor * logs.std(ddof=1)
    limit = max(tolerance, np.quantile(logs, _QUANTILE, method="higher"))
    return float(np.exp(min(limit, np.log(_DISTANCES[1]))))
