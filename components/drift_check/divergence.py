"""The difference of two sets of images, feature by feature."""

import math

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList, Histogram

# The 99.9th percentile for nine degrees of freedom.
_CHI_SQUARED_999 = 27.877
_EXCHANGED = {Histogram.STANDARD: Histogram.QUANTILES, Histogram.QUANTILES: Histogram.STANDARD}


def divergences(
    statistics: DatasetFeatureStatisticsList, reference: DatasetFeatureStatisticsList, names: tuple[str, ...]
) -> dict[str, float]:
    """Jensen-Shannon divergence of each numeric feature, 0 (alike) to 1 (nothing in common), as TFDV computes it.

    Each bucket holds a tenth of the images: a single outlier would empty buckets of equal width. Features that one set
    lacks are left out.
    """
    schema = schema_pb2.Schema()
    for name in names:
        # TFDV compares only features with a type; whole numbers compare alike under either.
        feature = schema.feature.add(name=name, type=schema_pb2.FLOAT)
        feature.drift_comparator.jensen_shannon_divergence.threshold = 1.0
    anomalies = tfdv.validate_statistics(
        _with_quantiles_first(statistics), schema, previous_statistics=_with_quantiles_first(reference)
    )
    return {
        ".".join(information.path.step): information.drift_measurements[0].value
        for information in anomalies.drift_skew_info
        if information.drift_measurements
    }


def _with_quantiles_first(statistics: DatasetFeatureStatisticsList) -> DatasetFeatureStatisticsList:
    """A copy whose standard histogram, which TFDV compares, is that of the quantiles."""
    copy = DatasetFeatureStatisticsList()
    copy.CopyFrom(statistics)
    for feature in copy.datasets[0].features:
        for histogram in feature.num_stats.histograms:
            histogram.type = _EXCHANGED[histogram.type]
    return copy


def divergence_by_chance(statistics: DatasetFeatureStatisticsList, reference: DatasetFeatureStatisticsList) -> float:
    """The divergence that two samples of one distribution exceed once in a thousand times, in the same ten buckets.

    For n and m images in k buckets, 8 ln 2 n m / (n + m) times it is chi-squared with k - 1 degrees of freedom.
    TFDV's own buckets add 0.09 at most (normal and log-normal samples, 15 to 7,000).
    Source: Grosse et al., "Analysis of symbolic sequences using the Jensen-Shannon divergence", Phys. Rev. E 65, 2002.
    """
    n, m = (sample.datasets[0].num_examples for sample in (statistics, reference))
    return _CHI_SQUARED_999 * (n + m) / (8 * math.log(2) * n * m) if n and m else 1.0


def mean(statistics: DatasetFeatureStatisticsList, name: str) -> float:
    """Mean of a numeric feature; raises KeyError if the statistics lack it."""
    for feature in statistics.datasets[0].features:
        if name in (feature.name, ".".join(feature.path.step)):
            return float(feature.num_stats.mean)
    raise KeyError(name)
