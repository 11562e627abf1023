"""Confidence intervals: exact ones for shares of images, a paired bootstrap for everything else.

TFMA's own bootstrap resamples inside Beam, twenty times, unseeded: measured with TFMA's counterparts of these metrics
on 1,000 images of two classes it took 87 s instead of 4 s and 2.5 GB instead of 1.2 GB, and no two runs agreed. And any
bootstrap of a recall of 1 says that nothing but 1 is possible, be it of three images.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

from crackgate.gate.metrics import Floats, Integers, Key

_REPLICATES = 400
# Bounds the memory: weights of about so many images at once, 8 bytes each.
_WEIGHTS_AT_ONCE = 2_000_000
# Replicates of a small slice may miss a class altogether.
_LEAST_SHARE_DEFINED = 0.9


def proportion_interval(found: int, images: int, confidence: float) -> tuple[float, float]:
    """Clopper and Pearson's exact interval of a share, two-sided: it covers the truth at least as often as it says.

    Source: Clopper & Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial".

    Returns:
        Low and high, 0 to 1; both NaN for no images.
    """
    if not images:
        return np.nan, np.nan
    interval = stats.binomtest(found, images).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def bootstrap(compute: Callable[[Integers], Mapping[Key, Floats]], images: int) -> dict[Key, Floats]:
    """Metrics of 400 samples of the images, drawn with replacement (Efron 1979), always the same for so many images.

    Args:
        compute: From weights (R, `images`) to metrics (R,) each.
        images: How many there are.

    Returns:
        Of each metric, float64 (400,).
    """
    rng = np.random.default_rng(0)
    at_once = max(1, min(_REPLICATES, _WEIGHTS_AT_ONCE // images))
    parts = []
    for start in range(0, _REPLICATES, at_once):
        drawn = [rng.integers(images, size=images) for _ in range(min(at_once, _REPLICATES - start))]
        parts.append(compute(np.stack([np.bincount(indices, minlength=images) for indices in drawn])))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def percentile_interval(samples: Floats, confidence: float) -> tuple[float, float]:
    """Low and high of the middle `confidence` of the samples; both NaN when too many of them are not defined."""
    defined = samples[np.isfinite(samples)]
    if len(defined) < _LEAST_SHARE_DEFINED * len(samples):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def mcnemar_p(only_one_right: int, only_other_right: int) -> float:
    """McNemar's exact test, two-sided: how likely so uneven a split is when both models are equally good."""
    discordant = only_one_right + only_other_right
    return float(stats.binomtest(only_one_right, discordant).pvalue) if discordant else 1.0
