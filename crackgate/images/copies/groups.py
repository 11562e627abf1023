"""Groups of copies from pairs, as a Beam transform.

images: PCollection[PictureTable]
pairs = images | FindPairs(partitions, folder, COPIES)
centres = pairs[COPIES.name] | GroupCopies(partitions)
"""

from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from crackgate.images.copies.partitions import DIGESTS_AT_ONCE, Digests, messages, partition
from crackgate.images.copies.search import Pairs

# Pictures and their neighbours, or the centres of their groups, row by row.
Edges = tuple[Digests, Digests]


class GroupCopies(beam.PTransform):
    """From PCollection[Pairs] to the centre of each group, PCollection[tuple[int, Edges]].

    A group is a connected component of the pairs; its smallest picture is its centre. Each of the `partitions` (see
    `count_partitions`) gives elements, or none: its other pictures, sorted, with their centres. One worker joins all
    pairs: the rounds of a distributed search left each sort of a Flink job too little memory.
    """

    def __init__(self, partitions: int):
        super().__init__()
        self._partitions = partitions

    def expand(self, pairs: beam.PCollection) -> beam.PCollection:
        """Builds the transform."""
        return (
            pairs
            | "Edges" >> beam.Map(_edges)
            | "AllEdges" >> beam.GroupByKey()
            | "Join" >> beam.FlatMap(_join, self._partitions)
        )


def _edges(pairs: Pairs) -> tuple[int, Edges]:
    return 0, (pairs.first, pairs.second)


def _join(keyed: tuple[int, Iterable[Edges]], count: int) -> Iterator[tuple[int, Edges]]:
    ends = [np.concatenate(side) for side in zip(*keyed[1], strict=True)]
    pictures, places = np.unique(np.concatenate(ends), return_inverse=True)
    ones, others = np.split(places, 2)
    graph = coo_array((np.ones(len(ones), bool), (ones, others)), shape=(len(pictures), len(pictures)))
    _, components = connected_components(graph, directed=False)
    # Pictures rise, so the first of a component is its smallest.
    _, firsts = np.unique(components, return_index=True)
    centres = pictures[firsts[components]]
    led = centres != pictures
    pictures, centres = pictures[led], centres[led]
    for number, rows in partition(pictures, count):
        for part in messages(rows, DIGESTS_AT_ONCE):
            yield number, (pictures[part], centres[part])
