"""Confidence intervals: exact for shares of images, a paired bootstrap for all other metrics."""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

from crackgate.gate.metrics import Floats, Integers, Key

_REPLICATES = 400
# Bounds the memory: so many weights at once take 8 bytes each.
_WEIGHTS_AT_ONCE = 2_000_000
# A replicate of a small slice may miss a class, which leaves its metrics undefined.
_LEAST_SHARE_DEFINED = 0.9


def proportion_interval(found: int, images: int, confidence: float) -> tuple[float, float]:
    """Two-sided interval of a share, low and high from 0 to 1; both NaN for no images.

    Source: Clopper & Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial".
    """
    if not images:
        return np.nan, np.nan
    interval = stats.binomtest(found, images).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def bootstrap(compute: Callable[[Integers], Mapping[Key, Floats]], images: int) -> dict[Key, Floats]:
    """Computes metrics of 400 samples drawn with replacement (Efron 1979), float64 (400,) each.

    `compute` turns weights (R, `images`) into metrics (R,). The samples depend on `images` alone.
    """
    rng = np.random.default_rng(0)
    at_once = max(1, min(_REPLICATES, _WEIGHTS_AT_ONCE // images))
    parts = []
    for start in range(0, _REPLICATES, at_once):
        drawn = [rng.integers(images, size=images) for _ in range(min(at_once, _REPLICATES - start))]
        parts.append(compute(np.stack([np.bincount(indices, minlength=images) for indices in drawn])))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def percentile_interval(samples: Floats, confidence: float) -> tuple[float, float]:
    """Low and high of the middle `confidence` of the samples; both NaN when too many of them are NaN."""
    defined = samples[np.isfinite(samples)]
    if len(defined) < _LEAST_SHARE_DEFINED * len(samples):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def mcnemar_p(only_one_right: int, only_other_right: int) -> float:
    """McNemar's exact test, two-sided: the probability of so uneven a split between equally good models."""
    discordant = only_one_right + only_other_right
    return float(stats.binomtest(only_one_right, discordant).pvalue) if discordant else 1.0
