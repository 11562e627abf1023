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

from crackgate.images.copies.partitions import DIGESTS_AT_ONCE, Digests, Indices, messages, partition
from crackgate.images.copies.search import COPIES, Pairs

# Whether they are copies, and the two pictures of pairs, row by row.
Edges = tuple[bool, Digests, Digests]
# Pictures, the centres of their groups, and those of the groups of their copies alone, row by row.
Centres = tuple[Digests, Digests, Digests]


class GroupCopies(beam.PTransform):
    """From PCollection[Pairs] to the centre of each group, PCollection[tuple[int, Centres]].

    A group is a connected component of the pairs; its smallest picture is its centre. Each of the `partitions` (see
    `count_partitions`) gives elements, or none: its other pictures, sorted, with their centres. The pairs of `COPIES`
    also make groups of their own. One worker joins all pairs: the rounds of a distributed search left each sort of a
    Flink job too little memory.
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
    return 0, (pairs.search == COPIES.name, pairs.first, pairs.second)


def _join(keyed: tuple[int, Iterable[Edges]], count: int) -> Iterator[tuple[int, Centres]]:
    are_copies, *sides = zip(*keyed[1], strict=True)
    pictures, places = np.unique(np.concatenate([end for side in sides for end in side]), return_inverse=True)
    ends = places.reshape(2, -1)
    alike = np.repeat(are_copies, [len(first) for first in sides[0]])
    groups, copies = (pictures[_smallest(len(pictures), *tied)] for tied in (ends, ends[:, alike]))
    led = groups != pictures
    pictures, groups, copies = pictures[led], groups[led], copies[led]
    for number, rows in partition(pictures, count):
        for part in messages(rows, DIGESTS_AT_ONCE):
            yield number, (pictures[part], groups[part], copies[part])


def _smallest(count: int, ones: Indices, others: Indices) -> Indices:
    """The smallest number of the component that each of `count` numbers is in."""
    graph = coo_array((np.ones(len(ones), bool), (ones, others)), shape=(count, count))
    _, components = connected_components(graph, directed=False)
    _, firsts = np.unique(components, return_index=True)
    smallest: Indices = firsts[components]
    return smallest
