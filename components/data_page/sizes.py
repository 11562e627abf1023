"""The images' sizes: the scale of the training images, and images of other splits that are out of it."""

from collections import defaultdict

import apache_beam as beam
import numpy as np
from apache_beam import combiners

from components.data_page.samples import SampledImage
from crackgate.contracts.scale import TrainedScale
from crackgate.contracts.scale_findings import OutOfScale, ScaleFindings
from crackgate.contracts.stored_example import TRAIN_SPLIT
from crackgate.images.image_folder import readable_path

_NAMED = 5

# Split, width, height, number of such images, and the first of their paths.
Row = tuple[str, int, int, int, str]


def count_sizes(images: beam.PCollection) -> beam.PCollection:
    """A row for each size in each split, from `measure_images`."""
    count_and_first = combiners.SingleInputTupleCombineFn(
        combiners.CountCombineFn(), combiners.TopCombineFn(1, reverse=True)
    )
    return (
        images
        | "BySize" >> beam.MapTuple(_by_size)
        | "CountSizes" >> beam.CombinePerKey(count_and_first)
        | "SizeRows" >> beam.MapTuple(_to_row)
    )


def find_scale(rows: list[Row]) -> ScaleFindings:
    """Holds the other splits against train; the rows come in any order."""
    sizes = [(width, height) for split, width, height, *_ in rows if split == TRAIN_SPLIT]
    if not sizes:
        return ScaleFindings()
    counts = [count for split, _, _, count, _ in rows if split == TRAIN_SPLIT]
    trained = TrainedScale.of(np.repeat(sizes, counts, axis=0))
    totals: dict[str, int] = defaultdict(int)
    refused: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row[4]):
        split, width, height, count, _ = row
        totals[split] += count
        if not trained.takes(width, height):
            refused[split].append(row)
    return ScaleFindings(
        trained=trained,
        outside=[
            OutOfScale(
                split=split,
                images=sum(count for *_, count, _ in outside),
                of=totals[split],
                named=[_name(*row[1:]) for row in outside[:_NAMED]],
            )
            for split, outside in sorted(refused.items())
        ],
    )


def _name(width: int, height: int, count: int, path: str) -> str:
    others = f" and {count - 1} more" if count > 1 else ""
    return f"{path!r} ({width}x{height}){others}"


def _by_size(_group: bytes, image: SampledImage) -> tuple[tuple[str, int, int], bytes]:
    return (image.split, image.width, image.height), image.path


def _to_row(size: tuple[str, int, int], found: tuple[int, list[bytes]]) -> Row:
    count, (first,) = found
    return *size, count, readable_path(first)
