"""TFDV's statistics of the measured features, as the page shows them."""

from dataclasses import dataclass

from tensorflow_metadata.proto.v0 import statistics_pb2

from crackgate.contracts import stored_example


@dataclass(frozen=True)
class Measure:
    """A numeric feature for people; `unit` labels its axis, and `digits` are decimals of a single value."""

    feature: str
    title: str
    unit: str
    digits: int


MEASURES = (
    Measure(stored_example.BRIGHTNESS, "Brightness", "mean grey level, 0 to 255", 1),
    Measure(stored_example.CONTRAST, "Contrast", "standard deviation of the grey levels", 1),
    Measure(stored_example.SHARPNESS, "Sharpness", "variance of the Laplacian", 1),
    Measure(stored_example.ENTROPY, "Entropy", "bits, 0 to 8", 2),
    Measure(stored_example.BYTES, "File size", "bytes", 0),
    Measure(stored_example.WIDTH, "Width", "pixels", 0),
    Measure(stored_example.HEIGHT, "Height", "pixels", 0),
)


@dataclass(frozen=True)
class FeatureStatistics:
    """TFDV's statistics of one feature in one split.

    Attributes:
        count: Images that have the feature.
        missing: Images that lack it.
        median: TFDV's approximation.
        zeros: Values that are 0.
        edges: Rising bounds of the histogram's buckets, one more than `heights`.
        heights: Values in each bucket, approximate and not whole.
    """

    count: int
    missing: int
    mean: float
    std: float
    min: float
    median: float
    max: float
    zeros: int
    edges: tuple[float, ...]
    heights: tuple[float, ...]


# By split, then by feature name, without features that no image of the split has.
StatisticsBySplit = dict[str, dict[str, FeatureStatistics]]


def read_statistics(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> dict[str, FeatureStatistics]:
    """The statistics of one split's numeric features, by feature name."""
    return {
        feature.path.step[0]: _read_feature(feature.num_stats)
        for dataset in statistics.datasets
        for feature in dataset.features
        if feature.WhichOneof("stats") == "num_stats" and feature.num_stats.common_stats.num_non_missing
    }


def _read_feature(found: statistics_pb2.NumericStatistics) -> FeatureStatistics:
    buckets = [
        bucket
        for histogram in found.histograms
        if histogram.type == statistics_pb2.Histogram.STANDARD
        for bucket in histogram.buckets
    ]
    return FeatureStatistics(
        count=found.common_stats.num_non_missing,
        missing=found.common_stats.num_missing,
        mean=found.mean,
        std=found.std_dev,
        min=found.min,
        median=found.median,
        max=found.max,
        zeros=found.num_zeros,
        edges=(*(bucket.low_value for bucket in buckets), *(bucket.high_value for bucket in buckets[-1:])),
        heights=tuple(bucket.sample_count for bucket in buckets),
    )
