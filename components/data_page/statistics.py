"""TFDV's numbers of the measured features, as the page shows them."""

from dataclasses import dataclass

from tensorflow_metadata.proto.v0 import statistics_pb2

from crackgate.contracts import stored_example


@dataclass(frozen=True)
class Measure:
    """A numeric feature for people.

    Attributes:
        feature: Name of the stored feature.
        title: Heading.
        unit: What the number is, for an axis.
        digits: Decimals that a single value is worth.
    """

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
class Summary:
    """TFDV's numbers of one feature in one split.

    Attributes:
        count: Images that have the feature.
        missing: Images that do not.
        mean: Of the values, like the next four.
        std: Standard deviation.
        min: Smallest.
        median: As TFDV approximates it.
        max: Largest.
        zeros: Values that are 0.
        edges: Bounds of the histogram's buckets, rising, one more than `heights`.
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


# By split, then by feature name; a feature that no image of the split has is left out.
Summaries = dict[str, dict[str, Summary]]


def summarize(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> dict[str, Summary]:
    """The summaries of one split's numeric features, by feature name."""
    return {
        feature.path.step[0]: _summarize_feature(feature.num_stats)
        for dataset in statistics.datasets
        for feature in dataset.features
        if feature.WhichOneof("stats") == "num_stats" and feature.num_stats.common_stats.num_non_missing
    }


def _summarize_feature(numbers: statistics_pb2.NumericStatistics) -> Summary:
    buckets = [
        bucket
        for histogram in numbers.histograms
        if histogram.type == statistics_pb2.Histogram.STANDARD
        for bucket in histogram.buckets
    ]
    return Summary(
        count=numbers.common_stats.num_non_missing,
        missing=numbers.common_stats.num_missing,
        mean=numbers.mean,
        std=numbers.std_dev,
        min=numbers.min,
        median=numbers.median,
        max=numbers.max,
        zeros=numbers.num_zeros,
        edges=(*(bucket.low_value for bucket in buckets), *(bucket.high_value for bucket in buckets[-1:])),
        heights=tuple(bucket.sample_count for bucket in buckets),
    )
